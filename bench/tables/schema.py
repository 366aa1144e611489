"""What the tables look like: the columns and their Hive types.

The peers import it, so it imports nothing that they would be charged for.
"""

PRODUCTS = {
    "product_id": "bigint",
    "product_name": "string",
    "category": "string",
    "unit_price": "double",
    "quantity": "bigint",
    "supplier_id": "bigint",
    "sku": "string",
    "created_at": "string",
    "discontinued": "boolean",
}
VEHICLES = {
    "VIN (1-10)": "string",
    "County": "string",
    "City": "string",
    "State": "string",
    "Postal Code": "bigint",
    "Model Year": "bigint",
    "Make": "string",
    "Model": "string",
    "Electric Vehicle Type": "string",
    "Clean Alternative Fuel Vehicle (CAFV) Eligibility": "string",
    "Electric Range": "bigint",
    "Base MSRP": "bigint",
    "Legislative District": "bigint",
    "DOL Vehicle ID": "bigint",
    "Vehicle Location": "string",
    "Electric Utility": "string",
    "2020 Census Tract": "bigint",
}
PARTITION_BY = ["Model Year", "Make"]
