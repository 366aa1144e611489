"""Makes sightings: 12 fields, 404 bytes of JSON each, landed over one day; 5 % are late, by up to three days.

Some plates, makes, vehicles and image addresses are null or missing, 0.02 % have no timestamp, and half of the
non-ASCII text is escaped. The same seed and size give the same bytes.
"""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from anpr.schema import FIELDS

Columns = dict[str, list[Any]]

LANDING_DAY_MS = 1_590_105_600_000  # 2020-05-22T00:00:00Z
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
CAMERAS = 480

_COUNTRIES = ["BE", "NL", "DE", "FR", "LU", "GB", "PL", "ES", "IT", "CZ"]
_COUNTRY_WEIGHTS = np.array([52, 16, 11, 10, 3, 3, 2, 1, 1, 1], float)
_MAKES = [
    "Volkswagen",
    "Renault",
    "Peugeot",
    "BMW",
    "Opel",
    "Ford",
    "Audi",
    "Mercedes-Benz",
    "Toyota",
    "Citroën",
    "Škoda",
    "Fiat",
    "Dacia",
    'Land Rover "Defender"',
    "Tesla",
    "DAF",
]
_COLOURS = ["grey", "black", "white", "blue", "red", "silver", "grün", "brown", "orange"]
_CLASSES = ["car", "van", "truck", "motorbike", "bus"]
_CLASS_WEIGHTS = [0.78, 0.12, 0.07, 0.02, 0.01]
HOUR_WEIGHTS = np.array(
    [1, 0.6, 0.5, 0.5, 0.8, 2, 5, 8, 8.5, 6.5, 5.5, 5.5, 5.8, 5.8, 6, 7, 8.5, 9, 7, 5, 3.5, 2.8, 2, 1.4]
)
_PLATE_LETTERS = np.frombuffer(b"ABCDEFGHJKLMNPRSTUVWXYZ", dtype=np.uint8)


def landing_times(rng: np.random.Generator, count: int) -> np.ndarray:
    """When the records land, in order, in milliseconds since 1970; rush hours have more."""
    hours = rng.choice(24, count, p=HOUR_WEIGHTS / HOUR_WEIGHTS.sum())
    return np.sort(LANDING_DAY_MS + hours * HOUR_MS + rng.integers(0, HOUR_MS, count))


def columns(seed: int, number: int, landed_ms: np.ndarray) -> Columns:
    """The records of the object with that number, one for each landing time; absent values are `None`."""
    count = len(landed_ms)
    rng = np.random.default_rng([seed, 0xA11, number])
    lateness = np.minimum(rng.exponential(5000, count), 60_000).astype(np.int64)
    late = rng.random(count) < 0.05
    lateness[late] = rng.integers(60_000, 3 * DAY_MS, int(late.sum()))
    times = np.datetime_as_string((landed_ms - lateness).astype("datetime64[ms]"), unit="ms").tolist()

    camera = (rng.zipf(1.25, count) % CAMERAS).tolist()
    places = np.random.default_rng(7)
    latitudes = np.round(50.5 + places.random(CAMERAS) * 0.9, 6).tolist()
    longitudes = np.round(3.0 + places.random(CAMERAS) * 2.6, 6).tolist()
    names = [f"CAM-{index:04d}" for index in range(CAMERAS)]

    letters = _PLATE_LETTERS[rng.integers(0, len(_PLATE_LETTERS), (count, 3))].tobytes().decode()
    first = rng.integers(1, 10, count).tolist()
    last = rng.integers(0, 1000, count).tolist()
    speed = np.round(np.clip(rng.normal(88, 22, count), 3, 240), 1).tolist()
    confidence = np.round(np.clip(1 - rng.exponential(0.06, count), 0.2, 1), 3).tolist()
    country = rng.choice(len(_COUNTRIES), count, p=_COUNTRY_WEIGHTS / _COUNTRY_WEIGHTS.sum()).tolist()
    lane = rng.integers(1, 5, count).tolist()
    make = rng.integers(0, len(_MAKES), count).tolist()
    colour = rng.integers(0, len(_COLOURS), count).tolist()
    kind = rng.choice(len(_CLASSES), count, p=_CLASS_WEIGHTS).tolist()
    length = np.round(np.clip(rng.normal(4.6, 1.6, count), 1.8, 18.75), 2).tolist()

    # One draw decides which value is absent, so that a record lacks at most one.
    draw = rng.random(count)
    no_plate = (draw < 0.015).tolist()
    no_vehicle = ((draw >= 0.02) & (draw < 0.025)).tolist()
    no_image = ((draw >= 0.03) & (draw < 0.035)).tolist()
    no_make = ((draw >= 0.04) & (draw < 0.09)).tolist()
    no_time = ((draw >= 0.1) & (draw < 0.1002)).tolist()
    random_hex = rng.bytes(24 * count).hex()

    made: Columns = {name: [None] * count for name in FIELDS}
    for row in range(count):
        identity = random_hex[48 * row : 48 * row + 48]
        at = camera[row]
        time = times[row]
        made["eventid"][row] = identity[:16]
        if not no_plate[row]:
            made["plate"][row] = f"{first[row]}-{letters[3 * row : 3 * row + 3]}-{last[row]:03d}"
        made["cameraid"][row] = names[at]
        made["lat"][row] = latitudes[at]
        made["lon"][row] = longitudes[at]
        made["country"][row] = _COUNTRIES[country[row]]
        if not no_image[row]:
            made["imageurl"][row] = (
                "https://anpr-images.s3.eu-west-1.amazonaws.com/"
                f"{time[:4]}/{time[5:7]}/{time[8:10]}/{names[at]}/{identity[16:]}.jpg"
            )
        if not no_vehicle[row]:
            made["vehicle"][row] = {
                "make": None if no_make[row] else _MAKES[make[row]],
                "colour": _COLOURS[colour[row]],
                "class": _CLASSES[kind[row]],
                "length_m": length[row],
            }
        if not no_time[row]:
            made["originalrecordtimestamp"][row] = f"{time}Z"
    made["speed"], made["confidence"], made["lane"] = speed, confidence, lane
    return made


def _quoted(texts: list[str]) -> dict[str, tuple[str, str]]:
    return {text: (json.dumps(text, ensure_ascii=False), json.dumps(text)) for text in texts}


_QUOTED_MAKES = _quoted(_MAKES)
_QUOTED_COLOURS = _quoted(_COLOURS)


def json_texts(made: Columns) -> Iterator[str]:
    """Each record as JSON. An absent image address or make is a missing key, another absent value is `null`; every
    other record escapes non-ASCII text."""
    for row, values in enumerate(zip(*(made[name] for name in FIELDS), strict=True)):
        eventid, plate, camera, lat, lon, speed, confidence, country, lane, image, vehicle, time = values
        escaped = row & 1
        vehicle_text = "null"
        if vehicle is not None:
            make = vehicle["make"]
            make_text = "" if make is None else f'"make":{_QUOTED_MAKES[make][escaped]},'
            colour_text = _QUOTED_COLOURS[vehicle["colour"]][escaped]
            vehicle_text = (
                f'{{{make_text}"colour":{colour_text},"class":"{vehicle["class"]}","length_m":{vehicle["length_m"]!r}}}'
            )
        plate_text = "null" if plate is None else f'"{plate}"'
        image_text = "" if image is None else f'"imageurl":"{image}",'
        time_text = "null" if time is None else f'"{time}"'
        yield (
            f'{{"eventid":"{eventid}","plate":{plate_text},"cameraid":"{camera}","lat":{lat!r},"lon":{lon!r},'
            f'"speed":{speed!r},"confidence":{confidence!r},"country":"{country}","lane":{lane},{image_text}'
            f'"vehicle":{vehicle_text},"originalrecordtimestamp":{time_text}}}'
        )
