//! Reads members, and says how much time an object takes that never fits an attempt.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use lakewright_core::location::Location;

use super::{
    Ports,
    member::{Request, Wanted},
    route::{Pass, route},
};
use crate::{
    kit::{ErrorKind, JobError, Stage},
    ports::{GetOptions, ObjectBody, Store, StoreError, StoreLayer},
};

/// Lambda's longest timeout. <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const LONGEST_TIMEOUT: u64 = 900;

/// Reads the members and routes their records. If an object that is alone is delivered again and its time runs out again
/// before all of it is read, that has a name.
///
/// # Errors
/// The failure is not that of a single member.
pub(super) async fn members(request: Request<'_>, wanted: &[Wanted]) -> Result<Pass, JobError> {
    let [alone] = wanted else {
        return route(request, wanted).await;
    };
    if request.receives < 2 || request.batch.candidates.len() > 1 {
        return route(request, wanted).await;
    }
    let source = &request.candidate(alone.candidate)?.source;
    let metered = Arc::new(Metered {
        inner: Arc::clone(&request.ports.store),
        source: source.clone(),
        read: AtomicU64::new(0),
        size: AtomicU64::new(0),
    });
    let ports = Ports {
        store: Arc::clone(&metered) as Arc<dyn Store>,
        ..request.ports.clone()
    };
    let begun = ports.clock.now();
    let of_ports = Request {
        ports: &ports,
        ..request
    };
    match route(of_ports, wanted).await {
        Err(error) if error.kind() == ErrorKind::Deadline => {
            let took = ports.clock.now().duration_since(begun);
            let took = u64::try_from(took.as_secs()).unwrap_or_default().max(1);
            let read = metered.read.load(Ordering::Relaxed);
            let size = metered.size.load(Ordering::Relaxed);
            // Without a table it is read twice: once for its columns.
            let passes = if request.settings().table.is_some() {
                1
            } else {
                2
            };
            let takes = took.saturating_mul(size * passes) / read.max(1);
            let advice = if takes < LONGEST_TIMEOUT {
                format!(
                    "raise the function's timeout above {takes} s, or its memory, which brings processors"
                )
            } else {
                "that is longer than a function may run: raise its memory, which brings processors, name a table, so that the columns need not be inferred, or land smaller objects".to_owned()
            };
            let what = format!(
                "at delivery {}, {read} bytes of {} were read in {took} s, so all of it takes about {takes} s; {advice}",
                request.receives,
                size * passes
            );
            Err(JobError::timeout_too_short(what)
                .during(Stage::Read)
                .of(source.clone()))
        }
        read => read,
    }
}

/// A store that counts the bytes that are read of one object.
struct Metered {
    inner: Arc<dyn Store>,
    source: Location,
    read: AtomicU64,
    size: AtomicU64,
}

#[async_trait]
impl StoreLayer for Metered {
    fn inner(&self) -> &dyn Store {
        &*self.inner
    }

    async fn get(&self, object: &Location, options: GetOptions) -> Result<ObjectBody, StoreError> {
        let body = self.inner.get(object, options).await?;
        if *object == self.source {
            let bytes = body.bytes.len() as u64;
            self.read.fetch_add(bytes, Ordering::Relaxed);
            self.size.store(body.meta.size, Ordering::Relaxed);
        }
        Ok(body)
    }
}
