//! What the steps of a run answer and write, depending on what earlier ones left.

use super::fixture::{
    Form::{Files, Together, Units},
    Step::{Commit, Plan, Prepare, Task},
    Was::{Died, Gone, OutputGone, OutputReplaced, Placed, Ran, Written},
    check,
};

#[test]
fn a_run_is_planned_once() {
    check(&[
        (
            Files,
            &[],
            Plan,
            "run 0: 2 and 2 tasks",
            &["+0/outline", "+0/outline-hash", "+0/plan"],
        ),
        (
            Units,
            &[],
            Plan,
            "run 0: 0 and 2 tasks",
            &["+0/outline", "+0/outline-hash", "+0/plan"],
        ),
        (
            Together,
            &[],
            Plan,
            "run 0: 2 and 2 tasks",
            &["+0/outline", "+0/outline-hash", "+0/plan"],
        ),
        (Files, &[Ran(Plan)], Plan, "run 0: 2 and 2 tasks", &[]),
        (
            Files,
            &[Ran(Plan), Placed("in/2", "k,v\na,2\n")],
            Plan,
            "run 0: 2 and 2 tasks",
            &[],
        ),
        (
            Files,
            &[Ran(Plan), Gone("in/1")],
            Plan,
            "run 1: 0 and 1 tasks",
            &["+0/commit", "+1/plan"],
        ),
        (
            Files,
            &[Ran(Plan), Written, Ran(Commit)],
            Plan,
            "run 1: 2 and 2 tasks",
            &["+1/outline", "+1/outline-hash", "+1/plan"],
        ),
        (
            Files,
            &[Ran(Plan), Written, Died(Commit, "/commit")],
            Plan,
            "run 1: 2 and 2 tasks",
            &[
                "+0/finished",
                "+1/outline",
                "+1/outline-hash",
                "+1/plan",
                "+out/_SUCCESS",
                "+out/_lakewright/repartition/r/manifest/manifest",
                "-out/old.json",
            ],
        ),
        (
            Files,
            &[Gone("in/0"), Gone("in/1")],
            Plan,
            "NothingToRead",
            &[],
        ),
    ]);
}

#[test]
fn preparations_are_put_together_by_the_last() {
    check(&[
        (Files, &[], Prepare(0), "PlanMissing", &[]),
        (Files, &[Ran(Plan)], Prepare(2), "BadRequest", &[]),
        (
            Files,
            &[Ran(Plan)],
            Prepare(0),
            "Done: 3 rows in 0",
            &["+0/prepared/0000000000"],
        ),
        (
            Files,
            &[Ran(Plan), Ran(Prepare(0))],
            Prepare(0),
            "Duplicate: 3 rows in 0",
            &[],
        ),
        (
            Files,
            &[Ran(Plan), Ran(Prepare(1))],
            Prepare(0),
            "Done: 3 rows in 0",
            &["+0/counted", "+0/prepared/0000000000"],
        ),
        (
            Files,
            &[Ran(Plan), Gone("in/0")],
            Prepare(0),
            "SourceChanged",
            &[],
        ),
        (
            Together,
            &[Ran(Plan)],
            Prepare(0),
            "Done: 3 rows in 0",
            &["+0/prepared/0000000000", "+0/staged/0000000000/rows.arrow"],
        ),
        (
            Together,
            &[Ran(Plan), Ran(Prepare(1))],
            Prepare(0),
            "Done: 3 rows in 0",
            &[
                "+0/gathered/0000000000",
                "+0/gathered/0000000000-hash",
                "+0/prepared/0000000000",
                "+0/staged/0000000000/rows.arrow",
            ],
        ),
        // Who wrote the last died before it put them together.
        (
            Together,
            &[Ran(Plan), Ran(Prepare(1)), Died(Prepare(0), "/prepared/")],
            Prepare(0),
            "Duplicate: 3 rows in 0",
            &["+0/gathered/0000000000", "+0/gathered/0000000000-hash"],
        ),
    ]);
}

#[test]
fn a_task_writes_its_files_once() {
    check(&[
        (
            Units,
            &[Ran(Plan)],
            Task(0),
            "Done: 3 rows in 2",
            &[
                "+0/done/0000000000",
                "+out/k=a/part-00000.json",
                "+out/k=b/part-00000.json",
            ],
        ),
        (
            Units,
            &[Ran(Plan), Ran(Task(0))],
            Task(0),
            "Duplicate: 3 rows in 2",
            &[],
        ),
        (
            Units,
            &[Ran(Plan), Died(Task(0), "part-")],
            Task(0),
            "Done: 3 rows in 2",
            &["+0/done/0000000000", "+out/k=a/part-00000.json"],
        ),
        (
            Units,
            &[Ran(Plan), Gone("in/0")],
            Task(0),
            "SourceChanged",
            &[],
        ),
        (
            Units,
            &[Ran(Plan), Placed("in/0", "k,v\nc,0\n")],
            Task(0),
            "SourceChanged",
            &[],
        ),
        (Units, &[Ran(Plan)], Task(2), "BadRequest", &[]),
        (
            Files,
            &[Ran(Plan), Ran(Prepare(0))],
            Task(0),
            "TasksMissing",
            &[],
        ),
        (
            Files,
            &[Ran(Plan), Ran(Prepare(0)), Ran(Prepare(1))],
            Task(0),
            "Done: 3 rows in 1",
            &["+0/done/0000000000", "+out/part-00000.json"],
        ),
        (
            Files,
            &[Ran(Plan), Ran(Prepare(0)), Died(Prepare(1), "/prepared/")],
            Task(0),
            "Done: 3 rows in 1",
            &["+0/counted", "+0/done/0000000000", "+out/part-00000.json"],
        ),
        (
            Together,
            &[Ran(Plan), Ran(Prepare(0)), Died(Prepare(1), "/prepared/")],
            Task(0),
            "Done: 6 rows in 2",
            &[
                "+0/done/0000000000",
                "+0/gathered/0000000000",
                "+0/gathered/0000000000-hash",
                "+out/k=a/part-00000.json",
                "+out/k=b/part-00000.json",
            ],
        ),
        (
            Together,
            &[Ran(Plan), Ran(Prepare(0)), Ran(Prepare(1))],
            Task(1),
            "Done: 0 rows in 0",
            &["+0/done/0000000001"],
        ),
        // P3: nothing is written of a run that is over.
        (
            Units,
            &[Ran(Plan), Gone("in/1"), Ran(Plan)],
            Task(0),
            "Withdrawn",
            &[],
        ),
        (
            Units,
            &[Ran(Plan), Written, Ran(Commit)],
            Task(0),
            "Duplicate: 3 rows in 2",
            &[],
        ),
    ]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is a table")]
fn a_run_is_committed_when_every_row_is_in_its_files() {
    check(&[
        (Units, &[], Commit, "PlanMissing", &[]),
        (
            Units,
            &[Ran(Plan), Ran(Task(0))],
            Commit,
            "TasksMissing",
            &[],
        ),
        (
            Units,
            &[Ran(Plan), Written],
            Commit,
            "Committed: 6 rows in 4, 1 removed",
            &[
                "+0/commit",
                "+0/finished",
                "+out/_SUCCESS",
                "+out/_lakewright/repartition/r/manifest/manifest",
                "-out/old.json",
            ],
        ),
        (
            Files,
            &[Ran(Plan), Written],
            Commit,
            "Committed: 6 rows in 2, 1 removed",
            &[
                "+0/commit",
                "+0/finished",
                "+out/_SUCCESS",
                "+out/_lakewright/repartition/r/manifest/manifest",
                "-out/old.json",
            ],
        ),
        (
            Together,
            &[Ran(Plan), Written],
            Commit,
            "Committed: 6 rows in 2, 1 removed",
            &[
                "+0/commit",
                "+0/counted",
                "+0/finished",
                "+out/_SUCCESS",
                "+out/_lakewright/repartition/r/manifest/manifest",
                "-0/staged/0000000000/rows.arrow",
                "-0/staged/0000000001/rows.arrow",
                "-out/old.json",
            ],
        ),
        (
            Units,
            &[Ran(Plan), Written, OutputGone],
            Commit,
            "OutputsDiffer",
            &[],
        ),
        (
            Units,
            &[Ran(Plan), Written, OutputReplaced],
            Commit,
            "OutputsDiffer",
            &[],
        ),
        (
            Units,
            &[Ran(Plan), Written, Ran(Commit)],
            Commit,
            "Duplicate: 6 rows in 4, 1 removed",
            &[],
        ),
        (
            Units,
            &[Ran(Plan), Written, Died(Commit, "/commit")],
            Commit,
            "Duplicate: 6 rows in 4, 1 removed",
            &[
                "+0/finished",
                "+out/_SUCCESS",
                "+out/_lakewright/repartition/r/manifest/manifest",
                "-out/old.json",
            ],
        ),
        // P1: what was written since the plan stays.
        (
            Units,
            &[Ran(Plan), Written, Placed("out/old.json", "{\"n\":1}")],
            Commit,
            "Committed: 6 rows in 4, 0 removed",
            &[
                "+0/commit",
                "+0/finished",
                "+out/_SUCCESS",
                "+out/_lakewright/repartition/r/manifest/manifest",
            ],
        ),
        (
            Units,
            &[Ran(Plan), Written, Placed("out/new.json", "{}")],
            Commit,
            "Committed: 6 rows in 4, 1 removed",
            &[
                "+0/commit",
                "+0/finished",
                "+out/_SUCCESS",
                "+out/_lakewright/repartition/r/manifest/manifest",
                "-out/old.json",
            ],
        ),
        (
            Units,
            &[Ran(Plan), Written, Gone("in/1"), Ran(Plan)],
            Commit,
            "Withdrawn",
            &[],
        ),
    ]);
}
