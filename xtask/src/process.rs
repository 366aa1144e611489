//! Child processes, each the leader of a separate process group, so that nothing outlives the command that started it:
//! after Ctrl-C, an error, or a panic.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail};
use nix::{
    errno::Errno,
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use crate::log::Log;

static GROUPS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

const POLL: Duration = Duration::from_millis(50);
const POLLS_BEFORE_KILL: u32 = 100;

/// Whether Ctrl-C, SIGTERM or SIGHUP was received.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// From now on, Ctrl-C, SIGTERM and SIGHUP terminate every running group; a second one kills them. A caller that waits
/// for a child then sees it end, and unwinds as after any error.
pub(crate) fn stop_on_signals() -> Result<()> {
    ctrlc::set_handler(|| {
        let signal = if INTERRUPTED.swap(true, Ordering::SeqCst) {
            Signal::SIGKILL
        } else {
            Signal::SIGTERM
        };
        for &group in groups().iter() {
            // A group that ended meanwhile needs no signal.
            let _ = killpg(Pid::from_raw(group), signal);
        }
    })
    .context("cannot handle Ctrl-C")
}

fn groups() -> MutexGuard<'static, BTreeSet<i32>> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running child and all processes that it starts. Dropping it ends them.
pub(crate) struct Group {
    name: String,
    child: Child,
    id: i32,
}

impl Group {
    /// Starts `command` as the leader of a new process group.
    ///
    /// # Errors
    /// The program cannot be started, or an interrupt came.
    pub(crate) fn spawn(name: &str, command: &mut Command) -> Result<Self> {
        // The lock is held from the check to the entry, so that an interrupt finds either no child or its group.
        let mut groups = groups();
        if interrupted() {
            bail!("interrupted");
        }
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name} ({program})"))?;
        let id = i32::try_from(child.id()).context("a process id beyond 31 bits")?;
        groups.insert(id);
        Ok(Self {
            name: name.to_owned(),
            child,
            id,
        })
    }

    /// Waits for the leader's end.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        self.child
            .wait()
            .with_context(|| format!("cannot wait for {}", self.name))
    }

    /// How the leader ended, if it did.
    pub(crate) fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .with_context(|| format!("cannot wait for {}", self.name))
    }

    /// Waits for an interrupt. The leader then ends, or is ended when this is dropped: some take half a minute by themselves.
    pub(crate) fn wait_for_interrupt(&mut self) -> Result<()> {
        while !interrupted() {
            if let Some(status) = self.try_wait()?
                && !interrupted()
            {
                bail!("{} ended by itself: {}", self.name, in_words(status));
            }
            pause();
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) {
        match killpg(Pid::from_raw(self.id), signal) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => eprintln!("cannot stop {} (group {}): {error}", self.name, self.id),
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGTERM);
        for _ in 0..POLLS_BEFORE_KILL {
            if !matches!(self.child.try_wait(), Ok(None)) {
                break;
            }
            pause();
        }
        // Including processes of the group that outlived their leader.
        self.signal(Signal::SIGKILL);
        let _ = self.child.wait();
        groups().remove(&self.id);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the time that a process is given to end is wall time"
)]
fn pause() {
    std::thread::sleep(POLL);
}

fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// Runs `command` to its end, everything it prints going to `log`.
///
/// # Errors
/// It cannot be started, or fails: then the error carries the end of the log.
pub(crate) fn run(name: &str, command: &mut Command, log: &Log) -> Result<()> {
    let file = log.create()?;
    command.stdout(file.try_clone()?).stderr(file);
    let status = Group::spawn(name, command)?.wait()?;
    check(name, status, log)
}

/// Runs `command` to its end on this terminal; it reports its own errors.
///
/// # Errors
/// It cannot be started.
pub(crate) fn run_shown(name: &str, command: &mut Command) -> Result<ExitCode> {
    let success = Group::spawn(name, command)?.wait()?.success();
    Ok(if success {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Runs `command` to its end, handing each line of its standard output to `on_line`; its standard error goes
/// to `log`.
///
/// # Errors
/// As for [`run`], and what `on_line` returns.
pub(crate) fn run_lines(
    name: &str,
    command: &mut Command,
    log: &Log,
    mut on_line: impl FnMut(&str) -> Result<()>,
) -> Result<()> {
    command.stdout(Stdio::piped()).stderr(log.create()?);
    let mut group = Group::spawn(name, command)?;
    let output = group
        .child
        .stdout
        .take()
        .with_context(|| format!("{name} has no standard output"))?;
    for line in BufReader::new(output).lines() {
        on_line(&line.with_context(|| format!("cannot read what {name} says"))?)?;
    }
    check(name, group.wait()?, log)
}

/// Runs `command` to its end, everything it prints going to `log` and each piece between line feeds or carriage
/// returns to `on_piece`.
///
/// # Errors
/// As for [`run`].
pub(crate) fn run_watched(
    name: &str,
    command: &mut Command,
    log: &Log,
    mut on_piece: impl FnMut(&str),
) -> Result<()> {
    let mut file = log.create()?;
    let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut group = Group::spawn(name, command)?;
    // The command holds the other end of the pipe; the reader would wait forever.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    for line in BufReader::new(reader).split(b'\n') {
        let line = line.with_context(|| format!("cannot read what {name} says"))?;
        let text = String::from_utf8_lossy(&line);
        for piece in text.split('\r') {
            on_piece(piece);
        }
        // A line's last state is what a terminal would show.
        writeln!(file, "{}", text.rsplit('\r').next().unwrap_or_default())?;
    }
    check(name, group.wait()?, log)
}

fn check(name: &str, status: ExitStatus, log: &Log) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    if interrupted() {
        bail!("interrupted");
    }
    bail!("{name} failed ({}).\n{}", in_words(status), log.tail())
}
