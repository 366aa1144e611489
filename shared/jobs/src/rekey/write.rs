//! Writes what a plan names: each output once, and the quarantine.

use std::{io::Read, sync::Arc};

use futures::{TryStreamExt, stream::FuturesOrdered};
use lakewright_core::{
    encode::{EncodeError, Encoder},
    parquet_out::RowGroupLimit,
};

use super::{
    Budget, Ports,
    error::{RekeyError, Stage},
    plan::{Output, Plan},
    quarantine::Quarantine,
    route::Routed,
    upload::{Finished, PART, Upload},
};
use crate::{
    ports::{Store, StoreErrorKind},
    report::OutputReport,
};

/// How often an upload is begun anew after a conflict with another writer, which S3 answers with 409.
const ATTEMPTS: usize = 3;

/// Bytes of memory that one output under way is reckoned to need.
const OUTPUT_MEMORY: u64 = 32 << 20;

/// Outputs under way at most.
const MAX_CONCURRENT_OUTPUTS: u64 = 16;

/// Writes every output of the plan that does not stand yet, and reports them all in key order.
///
/// An output that stands was written by this plan, for its name holds the plan's hash and there is one plan
/// for each source object.
pub(super) async fn outputs(
    ports: &Ports,
    budget: &Budget,
    plan: &Plan,
    routed: &Routed,
    resumed: bool,
) -> Result<Vec<OutputReport>, RekeyError> {
    let concurrent = (budget.memory / 2 / OUTPUT_MEMORY).clamp(1, MAX_CONCURRENT_OUTPUTS);
    let row_group = RowGroupLimit {
        bytes: row_group_bytes(budget.memory / 2 / concurrent),
        ..RowGroupLimit::default()
    };
    let concurrent = usize::try_from(concurrent).unwrap_or(1);
    let mut under_way = FuturesOrdered::new();
    let mut reports = Vec::with_capacity(plan.outputs.len());
    for output in &plan.outputs {
        if under_way.len() >= concurrent {
            reports.extend(under_way.try_next().await?);
        }
        under_way.push_back(write_unless_standing(
            ports, output, routed, row_group, resumed,
        ));
    }
    while let Some(report) = under_way.try_next().await? {
        reports.push(report);
    }
    Ok(reports)
}

async fn write_unless_standing(
    ports: &Ports,
    output: &Output,
    routed: &Routed,
    row_group: RowGroupLimit,
    resumed: bool,
) -> Result<OutputReport, RekeyError> {
    let standing = if resumed {
        standing_size(&*ports.store, output).await?
    } else {
        None
    };
    let bytes = match standing {
        Some(bytes) => bytes,
        None => write(ports, output, routed, row_group).await?,
    };
    Ok(OutputReport {
        key: output.location.key.clone(),
        rows: output.rows,
        bytes,
    })
}

fn row_group_bytes(available: u64) -> usize {
    usize::try_from(available)
        .unwrap_or(usize::MAX)
        .min(RowGroupLimit::default().bytes)
}

/// The size of an output that stands.
async fn standing_size(store: &dyn Store, output: &Output) -> Result<Option<u64>, RekeyError> {
    match store.head(&output.location, None).await {
        Ok(meta) => Ok(Some(meta.size)),
        Err(error) if error.kind == StoreErrorKind::NotFound => Ok(None),
        Err(error) => Err(RekeyError::store(Stage::Write, error)),
    }
}

async fn write(
    ports: &Ports,
    output: &Output,
    routed: &Routed,
    row_group: RowGroupLimit,
) -> Result<u64, RekeyError> {
    for _ in 1..ATTEMPTS {
        match write_once(ports, output, routed, row_group).await {
            Err(RekeyError::Store { source, .. }) if source.kind == StoreErrorKind::Conflict => {}
            other => return other,
        }
    }
    write_once(ports, output, routed, row_group).await
}

async fn write_once(
    ports: &Ports,
    output: &Output,
    routed: &Routed,
    row_group: RowGroupLimit,
) -> Result<u64, RekeyError> {
    let encode = |error: EncodeError| RekeyError::Encode {
        key: output.location.key.clone(),
        message: error.to_string(),
    };
    let put = |error| RekeyError::store(Stage::Write, error);
    let mut upload = Upload::new(
        Arc::clone(&ports.store),
        output.location.clone(),
        output.form.content_type(),
    );
    let mut encoder = Encoder::new(&output.form, &routed.layout, row_group).map_err(encode)?;
    for batch in routed.spool.batches(output.partition) {
        encoder.write(&batch?).map_err(encode)?;
        if encoder.ready().len() >= PART {
            upload
                .part(std::mem::take(encoder.ready()))
                .await
                .map_err(put)?;
        }
    }
    let last = encoder.finish().map_err(encode)?;
    match upload.finish(last).await.map_err(put)? {
        Finished::Written(bytes) => Ok(bytes),
        Finished::Stood => {
            standing_size(&*ports.store, output)
                .await?
                .ok_or_else(|| RekeyError::OutputVanished {
                    location: output.location.clone(),
                })
        }
    }
}

/// Writes the quarantined records, if there are any, and answers with their key.
pub(super) async fn quarantine(
    ports: &Ports,
    plan: &Plan,
    quarantine: &mut Quarantine,
) -> Result<Option<String>, RekeyError> {
    let Some((location, _)) = &plan.quarantine else {
        return Ok(None);
    };
    let put = |error| RekeyError::store(Stage::Write, error);
    let mut upload = Upload::new(
        Arc::clone(&ports.store),
        location.clone(),
        "application/jsonl",
    );
    let mut reader = quarantine.reader()?;
    loop {
        let mut chunk = Vec::new();
        (&mut reader).take(PART as u64).read_to_end(&mut chunk)?;
        if chunk.len() < PART {
            upload.finish(chunk).await.map_err(put)?;
            return Ok(Some(location.key.clone()));
        }
        upload.part(chunk).await.map_err(put)?;
    }
}
