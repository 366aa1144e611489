//! Terminal output: progress bars, a line for each finished step, tables.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

const TICK: Duration = Duration::from_millis(120);
const SPINNER: &str = "{spinner} {prefix}  {wide_msg}";
const BAR: &str = "{spinner} {prefix}  [{bar:30}] {human_pos}/{human_len}  {wide_msg}";

/// The bars of the steps that run side by side.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// A step that takes a while. It writes to standard error; if that is not a terminal, it only writes its last line.
pub(crate) struct Step {
    bar: ProgressBar,
    name: String,
    started: Instant,
}

impl Step {
    /// Shows that a step begins.
    pub(crate) fn begin(name: &str) -> Self {
        let bar = BARS.add(ProgressBar::new_spinner());
        bar.set_style(style(SPINNER));
        bar.set_prefix(name.to_owned());
        bar.enable_steady_tick(TICK);
        Self {
            bar,
            name: name.to_owned(),
            started: now(),
        }
    }

    /// Shows the progress.
    pub(crate) fn progress(&self, done: u64, total: u64, message: &str) {
        if total > 0 {
            self.bar.set_style(style(BAR));
            self.bar.set_length(total);
            self.bar.set_position(done);
        }
        self.bar.set_message(message.to_owned());
    }

    /// Shows the current item.
    pub(crate) fn message(&self, message: &str) {
        self.bar.set_message(message.to_owned());
    }

    /// Replaces the bar by one line.
    pub(crate) fn done(self, outcome: &str) {
        self.bar.finish_and_clear();
        let seconds = self.started.elapsed().as_secs_f64();
        say(&format!("✓ {:<26} {seconds:>6.1} s  {outcome}", self.name));
    }
}

/// Writes a line to standard error, above the bars.
pub(crate) fn say(line: &str) {
    BARS.suspend(|| eprintln!("{line}"));
}

impl Drop for Step {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a step took is shown, and nothing follows from it"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::expect_used, reason = "the two templates are constants")]
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("a valid template")
        .progress_chars("=> ")
}

/// Prints a table; every column except the first is right-aligned.
pub(crate) fn table(title: &str, header: &[String], rows: &[Vec<String>]) {
    println!("{}", table_of(title, header, rows));
}

/// A table as text, as [`table`] prints it.
pub(crate) fn table_of(title: &str, header: &[String], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table
        .load_style(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header)
        .add_rows(rows.iter().map(|row| {
            row.iter().enumerate().map(|(column, text)| {
                Cell::new(text).set_alignment(if column == 0 {
                    CellAlignment::Left
                } else {
                    CellAlignment::Right
                })
            })
        }));
    format!("\n{title}\n{table}")
}
