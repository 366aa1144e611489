"""Writes the tables: `python -m tables.dataset --table products|vehicles --out FILE --records N`. The same number of
records gives the same bytes."""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tables.schema import PRODUCTS, VEHICLES

Record = list[str | int]

_CATEGORIES = [
    "Electronics",
    "Home & Kitchen",
    "Books",
    "Toys, Games",
    "Garden",
    "Sports",
    "Beauty",
    "Automotive",
    "Grocery",
    "Office",
]
_ADJECTIVES = ["Compact", "Deluxe", "Eco", '12" Pro', "Smart", "Classic", "Ultra", "Mini"]
_NOUNS = ["Lamp", "Kettle", "Router", "Chair", "Drill", "Backpack", "Monitor", "Mixer", "Tent"]
_2020 = 1_577_836_800
_FIVE_YEARS = 5 * 365 * 86_400

# Make, its first model year, and its share in a hundred.
_MAKES = [
    ("TESLA", 2008, 43.0),
    ("CHEVROLET", 1997, 8.0),
    ("NISSAN", 2011, 7.0),
    ("FORD", 1998, 6.0),
    ("KIA", 2014, 5.0),
    ("BMW", 2013, 4.4),
    ("TOYOTA", 1999, 4.4),
    ("HYUNDAI", 2016, 3.5),
    ("RIVIAN", 2022, 2.8),
    ("JEEP", 2021, 2.8),
    ("VOLVO", 2016, 2.7),
    ("VOLKSWAGEN", 2015, 2.5),
    ("AUDI", 2016, 2.0),
    ("CHRYSLER", 2017, 1.9),
    ("MERCEDES-BENZ", 2014, 1.0),
    ("PORSCHE", 2014, 0.7),
    ("MITSUBISHI", 2012, 0.6),
    ("MINI", 2018, 0.6),
    ("HONDA", 2014, 0.6),
    ("FIAT", 2013, 0.5),
    ("POLESTAR", 2020, 0.6),
    ("SUBARU", 2014, 0.6),
    ("DODGE", 2023, 0.4),
    ("LEXUS", 2022, 0.4),
    ("LINCOLN", 2020, 0.2),
    ("MAZDA", 2022, 0.4),
    ("LUCID", 2022, 0.2),
    ("CADILLAC", 2014, 0.4),
    ("GENESIS", 2022, 0.2),
    ("SMART", 2011, 0.15),
    ("JAGUAR", 2019, 0.15),
    ("FISKER", 2012, 0.1),
    ("LAND ROVER", 2019, 0.08),
    ("ALFA ROMEO", 2024, 0.05),
    ("GMC", 2022, 0.1),
    ("ACURA", 2024, 0.2),
    ("BENTLEY", 2020, 0.02),
    ("TH!NK", 2011, 0.01),
    ("AZURE DYNAMICS", 2011, 0.01),
    ("WHEEGO ELECTRIC CARS", 2010, 0.005),
    ("ROLLS-ROYCE", 2024, 0.005),
    ("VINFAST", 2024, 0.02),
    ("RAM", 2024, 0.01),
]
_PLACES = [
    ("King", "Seattle", 98101),
    ("King", "Bellevue", 98004),
    ("Snohomish", "Everett", 98201),
    ("Pierce", "Tacoma", 98402),
    ("Clark", "Vancouver", 98660),
    ("Thurston", "Olympia", 98501),
    ("Kitsap", "Bremerton", 98310),
    ("Spokane", "Spokane", 99201),
    ("Whatcom", "Bellingham", 98225),
]
_UTILITIES = [
    "CITY OF SEATTLE - (WA)|CITY OF TACOMA - (WA)",
    "PUGET SOUND ENERGY INC||CITY OF TACOMA - (WA)",
    "PUGET SOUND ENERGY INC",
    "PACIFICORP",
    "BONNEVILLE POWER ADMINISTRATION||PUD NO 1 OF CLARK COUNTY - (WA)",
    "MODERN ELECTRIC WATER COMPANY",
]
_VIN = "0123456789ABCDEFGHJKLMNPRSTUVWXYZ"
_ELIGIBLE = "Clean Alternative Fuel Vehicle Eligible"
_UNKNOWN = "Eligibility unknown as battery range has not been researched"
_NOT_ELIGIBLE = "Not eligible due to low battery range"


def products(count: int, seed: int = 1) -> Iterator[Record]:
    """Products; one in a hundred has no quantity."""
    random = np.random.default_rng([seed, 0xC])
    draws = random.random((count, 6)).tolist()
    seconds = (_2020 + random.integers(0, _FIVE_YEARS, count)).astype("datetime64[s]").astype(str).tolist()
    for number, (draw, made) in enumerate(zip(draws, seconds, strict=True), 1):
        yield [
            number,
            f"{_ADJECTIVES[int(draw[0] * 8)]} {_NOUNS[int(draw[1] * 9)]} {int(draw[2] * 1e5)}",
            _CATEGORIES[int(draw[3] * 10)],
            f"{1 + draw[4] * 999:.2f}",
            int(draw[5] * 1000) if draw[2] > 0.01 else "",
            int(draw[1] * 5000),
            f"SKU-{int(draw[0] * 2**32):08X}-{int(draw[5] * 65_536):04X}",
            made.replace("T", " "),
            "true" if draw[3] < 0.1 else "false",
        ]


def vehicles(count: int, seed: int = 1) -> Iterator[Record]:
    """Vehicles; a few have no county, or no district."""
    random = np.random.default_rng([seed, 0xE7])
    weights = np.array([share for _, _, share in _MAKES])
    makes = random.choice(len(_MAKES), count, p=weights / weights.sum()).tolist()
    ages = np.minimum(random.exponential(3.0, count).astype(int), 27).tolist()
    places = random.integers(0, len(_PLACES), count).tolist()
    draws = random.random((count, 6)).tolist()
    vins = random.integers(0, len(_VIN), (count, 5)).tolist()
    identities = random.choice(480_000_000, count, replace=False).tolist()
    for row in range(count):
        make, first_year, _ = _MAKES[makes[row]]
        year = max(first_year, 2025 - ages[row])
        county, city, postal_code = _PLACES[places[row]]
        draw = draws[row]
        yield [
            "".join(_VIN[letter] for letter in vins[row]) + f"{make[:2]}{str(year)[-3:]}",
            county if draw[1] > 0.0001 else "",
            city,
            "WA",
            postal_code,
            year,
            make,
            ("MODEL " if make == "TESLA" else make[:3].title() + " ") + str(int(draw[2] * 9)),
            "Battery Electric Vehicle (BEV)" if draw[0] < 0.79 else "Plug-in Hybrid Electric Vehicle (PHEV)",
            _ELIGIBLE if draw[3] < 0.4 else _UNKNOWN if draw[3] < 0.88 else _NOT_ELIGIBLE,
            int(draw[4] * 338) if draw[3] < 0.5 else 0,
            0 if draw[5] < 0.98 else int(30_000 + draw[5] * 1000),
            int(draw[1] * 49) + 1 if draw[2] > 0.002 else "",
            identities[row],
            f"POINT (-122.{int(draw[0] * 99_999):05d} 47.{int(draw[1] * 99_999):05d})",
            _UTILITIES[int(draw[2] * len(_UTILITIES))],
            53_033_000_000 + int(draw[4] * 99_999_999),
        ]


TABLES = {"products": (PRODUCTS, products), "vehicles": (VEHICLES, vehicles)}


def main() -> None:
    """Writes one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", choices=list(TABLES), required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--records", type=int, required=True)
    given = parser.parse_args()
    columns, records = TABLES[given.table]
    with given.out.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(records(given.records))


if __name__ == "__main__":
    main()
