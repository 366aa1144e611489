//! What an invocation for some objects answers and writes, depending on what earlier ones left.

use super::fixture::{
    BAD, ONE, TWO,
    Was::{Died, Elsewhere, Gone, Landed, Mended, Ran},
    check,
};

#[test]
fn objects_are_claimed_planned_written_and_committed() {
    check(&[
        (
            &[Landed("a", ONE)],
            &["a"],
            1,
            "Committed 1",
            &[
                "+claim/a/0",
                "+commit/a",
                "+partition 01",
                "+plan/a",
                "+t/day=01/a-00000.parquet",
            ],
        ),
        (
            &[Landed("a", ONE), Landed("b", TWO)],
            &["a", "b"],
            1,
            "Committed 1, Committed 2",
            &[
                "+claim/a/0",
                "+claim/b/0",
                "+commit/a+b",
                "+partition 01",
                "+partition 02",
                "+plan/a+b",
                "+t/day=01/a+b-00000.parquet",
                "+t/day=02/a+b-00000.parquet",
            ],
        ),
        (
            &[Landed("a", ONE), Ran(&["a"])],
            &["a"],
            1,
            "Duplicate 0",
            &[],
        ),
        (
            &[Landed("a", ONE), Landed("b", TWO), Ran(&["b"])],
            &["a", "b", "a"],
            2,
            "Committed 1, Duplicate 0, Duplicate 0",
            &[
                "+claim/a/0",
                "+commit/a",
                "+plan/a",
                "+t/day=01/a-00000.parquet",
            ],
        ),
        (&[Landed("a", b"")], &["a"], 1, "Ignored 0", &[]),
        (
            &[Landed("a", ONE), Gone("a")],
            &["a"],
            1,
            "Gone 0",
            &["+claim/a/0", "+plan/a"],
        ),
        (
            &[Landed("a", ONE), Landed("a", TWO)],
            &["a"],
            1,
            "Superseded 0",
            &["+claim/a/0", "+plan/a"],
        ),
        (
            &[Landed("a", ONE), Elsewhere],
            &["a"],
            1,
            "PartitionElsewhere",
            &["+claim/a/0", "+plan/a", "+t/day=01/a-00000.parquet"],
        ),
    ]);
}

#[test]
fn what_another_invocation_began_is_finished() {
    check(&[
        // A batch that claimed nothing is nobody's.
        (
            &[
                Landed("a", ONE),
                Landed("b", TWO),
                Died(&["a", "b"], "/batch/"),
            ],
            &["a"],
            1,
            "Committed 1",
            &[
                "+claim/a/0",
                "+commit/a",
                "+partition 01",
                "+plan/a",
                "+t/day=01/a-00000.parquet",
            ],
        ),
        (
            &[
                Landed("a", ONE),
                Landed("b", TWO),
                Died(&["a", "b"], "/plan/"),
            ],
            &["a"],
            1,
            "Committed 1, also Committed 2",
            &[
                "+commit/a+b",
                "+partition 01",
                "+partition 02",
                "+t/day=01/a+b-00000.parquet",
                "+t/day=02/a+b-00000.parquet",
            ],
        ),
        (
            &[
                Landed("a", ONE),
                Landed("b", TWO),
                Died(&["a", "b"], "/plan/"),
                Gone("b"),
            ],
            &["a", "b"],
            1,
            "Committed 1, SourceLost",
            &[
                "+commit/a+b",
                "+lost/a+b/b",
                "+partition 01",
                "+t/day=01/a+b-00000.parquet",
            ],
        ),
        (
            &[
                Landed("a", ONE),
                Landed("b", TWO),
                Died(&["a", "b"], "/day=01/"),
                Gone("b"),
            ],
            &["a", "b"],
            1,
            "Committed 1, SourceLost",
            &["+commit/a+b", "+lost/a+b/b", "+partition 01"],
        ),
        (
            &[Landed("a", ONE), Died(&["a"], "/commit/")],
            &["a"],
            1,
            "Duplicate 0",
            &[],
        ),
        // Before its plan nothing is lost.
        (
            &[
                Landed("a", ONE),
                Landed("b", TWO),
                Died(&["a", "b"], "/claim/"),
                Gone("b"),
            ],
            &["a", "b"],
            1,
            "Committed 1, Gone 0",
            &[
                "+commit/a+b",
                "+partition 01",
                "+plan/a+b",
                "+t/day=01/a+b-00000.parquet",
            ],
        ),
    ]);
}

#[test]
fn what_cannot_be_read_is_left_out_and_tried_alone() {
    check(&[
        (
            &[Landed("a", BAD)],
            &["a"],
            1,
            "Unreadable",
            &["+claim/a/0", "+failed/a"],
        ),
        (
            &[Landed("a", ONE), Landed("b", BAD)],
            &["a", "b"],
            1,
            "Committed 1, Unreadable",
            &[
                "+claim/a/0",
                "+claim/b/0",
                "+claim/b/1",
                "+commit/a+b",
                "+failed/b",
                "+partition 01",
                "+plan/a+b",
                "+t/day=01/a+b-00000.parquet",
            ],
        ),
        // A batch that was received three times without a plan is dissolved.
        (
            &[
                Landed("a", ONE),
                Landed("b", TWO),
                Died(&["a", "b"], "/claim/"),
            ],
            &["a", "b"],
            3,
            "Committed 1, Committed 2",
            &[
                "+claim/a/1",
                "+claim/b/1",
                "+commit/a'",
                "+commit/b'",
                "+partition 01",
                "+partition 02",
                "+plan/a'",
                "+plan/a+b",
                "+plan/b'",
                "+t/day=01/a'-00000.parquet",
                "+t/day=01/b'-00000.parquet",
                "+t/day=02/b'-00000.parquet",
            ],
        ),
        // One object alone, whose settings were mended, is planned with the new ones.
        (
            &[Landed("a", ONE), Died(&["a"], "/claim/"), Mended],
            &["a"],
            1,
            "Committed 1",
            &[
                "+claim/a/1",
                "+commit/a'",
                "+partition 01",
                "+plan/a",
                "+plan/a'",
                "+t/day=01/a'-00000.parquet",
            ],
        ),
        (
            &[Landed("a", ONE), Died(&["a"], "/plan/"), Mended],
            &["a"],
            1,
            "Committed 1",
            &["+commit/a", "+partition 01", "+t/day=01/a-00000.parquet"],
        ),
    ]);
}
