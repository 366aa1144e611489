"""What a sighting looks like.

The peers import it, so it imports nothing that they would be charged for.
"""

FIELDS = [
    "eventid",
    "plate",
    "cameraid",
    "lat",
    "lon",
    "speed",
    "confidence",
    "country",
    "lane",
    "imageurl",
    "vehicle",
    "originalrecordtimestamp",
]
VEHICLE_FIELDS = ["make", "colour", "class", "length_m"]
TIMESTAMP = "originalrecordtimestamp"
PARTITION_KEYS = ["year", "month", "day", "hour"]

# Hive's types, as a Glue table has them.
HIVE_COLUMNS = dict.fromkeys(FIELDS, "string") | {
    "lat": "double",
    "lon": "double",
    "speed": "double",
    "confidence": "double",
    "lane": "bigint",
    "vehicle": "struct<make:string,colour:string,class:string,length_m:double>",
}
