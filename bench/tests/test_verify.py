"""Outputs are compared with their inputs, in every format."""

import tempfile
import unittest
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from contenders.compact import verify
from contenders.data import Wrong

COLUMNS = {"n": "bigint", "Model Year": "bigint", "name": "string", "price": "double"}
KEYS = ["Model Year"]
NAMES = ["plain", 'in "quotes", with a comma', "two\nlines", "", None]


def table(rows: range) -> pa.Table:
    """Rows of one year."""
    return pa.table(
        {
            "n": list(rows),
            "name": pa.array([NAMES[n % len(NAMES)] for n in rows], pa.string()),
            "price": [n / 8 for n in rows],
        }
    )


class Verify(unittest.TestCase):
    """A table of CSV, and outputs by year."""

    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        years = {2020: table(range(20)), 2021: table(range(20, 30))}
        whole = [rows.add_column(1, "Model Year", pa.array([year] * len(rows))) for year, rows in years.items()]
        (self.folder / "input").mkdir()
        pc.write_csv(pa.concat_tables(whole), self.folder / "input" / "table.csv")
        for year, rows in years.items():
            self.write(year, rows)

    def write(self, year: int, rows: pa.Table) -> None:
        """Writes a partition."""
        path = self.folder / "output" / f"Model Year={year}" / "part-0.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows, path)

    def check(self) -> tuple[int, int]:
        """Compares."""
        return verify(COLUMNS, self.folder / "input", self.folder / "output", KEYS)

    def test_what_is_right_is_measured(self) -> None:
        count, size = self.check()
        self.assertEqual(count, 2)
        self.assertGreater(size, 100)

    def test_what_is_wrong_is_refused(self) -> None:
        right = table(range(20))
        changed = right.set_column(2, "price", pa.array([n / 8 + (n == 7) for n in range(20)]))
        swapped = right.set_column(0, "n", pa.array([1, 0, *range(2, 20)]))
        for what, rows, says in [
            ("lost", right.slice(1), "19 rows, not 20"),
            ("doubled", pa.concat_tables([right, right.slice(0, 1)]), "21 rows, not 20"),
            ("changed", changed, "values differ"),
            ("swapped", swapped, "values differ"),
        ]:
            with self.subTest(what):
                self.write(2020, rows)
                with self.assertRaisesRegex(Wrong, rf"partition \(2020,\): {says}"):
                    self.check()

    def test_what_is_moved_or_missing_is_refused(self) -> None:
        self.write(2020, table(range(1, 20)))
        self.write(2021, table(range(20, 31)))
        with self.assertRaisesRegex(Wrong, "rows, not"):
            self.check()
        (self.folder / "output" / "Model Year=2021" / "part-0.parquet").unlink()
        self.write(2020, table(range(20)))
        with self.assertRaisesRegex(Wrong, r"partition \(2021,\): 0 rows, not 10"):
            self.check()


if __name__ == "__main__":
    unittest.main()
