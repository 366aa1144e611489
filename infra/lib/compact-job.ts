import { CfnOutput, Duration, Stack } from 'aws-cdk-lib';
import { Stats } from 'aws-cdk-lib/aws-cloudwatch';
import { Construct } from 'constructs';
import {
  grantCopy,
  grantCreate,
  grantDeleteData,
  grantEncryption,
  grantLedger,
  grantMovePartitions,
  grantNoteFailure,
  grantNotes,
  grantReadCurrent,
  grantReadNamed,
  grantReadTable,
  grantReadWrite,
} from './access.ts';
import { CompactMachine, type CompactFunctions } from './compact-machine.ts';
import { ConfigError, formatTable, subjectOf, type CompactConfig, type TableName } from './config.ts';
import type { DataBuckets } from './data-buckets.ts';
import { formatLocation, join, type Location } from './location.ts';
import type { Monitoring } from './monitoring.ts';
import type { Options } from './options.ts';
import { rateOf, startBySchedule } from './schedule.ts';

export interface CompactJobProps {
  readonly job: CompactConfig;
  /** The prefix of the table, or the job's target. */
  readonly location: Location;
  readonly functions: CompactFunctions;
  readonly buckets: DataBuckets;
  readonly monitoring: Monitoring;
  readonly options: Options;
}

/** Where the new directories of a table's partitions go: beside the table, where no reader of the table looks. */
export function generationsOf(job: CompactConfig, { bucket, key }: Location): Location {
  if (!job.generations && key === '') {
    throw new ConfigError(
      `compact \`${subjectOf(job)}\`: the table fills its bucket, so nothing lies beside it: name another place as generations`,
    );
  }
  return job.generations ?? { bucket, key: `${key.replace(/\/$/, '')}.generations/` };
}

/** One `[[compact]]` entry: a state machine that runs on a schedule, and by hand. */
export class CompactJob extends Construct {
  constructor(scope: Construct, id: string, props: CompactJobProps) {
    super(scope, id);
    const { job, location, functions, buckets, monitoring, options } = props;
    const title = subjectOf(job);
    const ledger = job.ledger ?? join(location, '_lakewright/');
    const failed = join(ledger, 'compact/failed/');
    const { stateMachine } = new CompactMachine(this, 'Machine', {
      request: job.table ? { table: formatTable(job.table) } : { target: formatLocation(location) },
      title,
      failed,
      stored: job,
      dryRunFirst: job.dryRunFirst,
      functions,
      options,
    });

    buckets.require(location.bucket);
    buckets.require(ledger.bucket);
    // Files that were merged are deleted when their rows are verified to be in another.
    buckets.forget(location);
    // The lists of what a run has to do, and what failed in it.
    grantReadNamed(stateMachine.role, join(ledger, 'compact/'));
    grantNotes(stateMachine.role, failed);
    grantEncryption(stateMachine.role, job);
    grantCreate(functions.plan.role, join(ledger, 'compact/'), job);
    for (const { role } of [functions.plan, functions.merge, functions.publish]) {
      grantReadCurrent(role, location);
      grantReadCurrent(role, ledger);
      grantEncryption(role, job);
    }
    for (const { role } of [functions.plan, functions.publish]) {
      grantLedger(role, join(ledger, 'partition/'), job);
    }
    grantNoteFailure(functions.merge.role, join(ledger, 'partition/'), job);
    if (job.table) {
      this.swap(job.table, generationsOf(job, location), props, ledger);
    } else {
      grantReadWrite(functions.merge.role, location, job);
      grantReadWrite(functions.publish.role, location, job);
      grantCopy(functions.publish.role, [location], [location]);
      grantDeleteData(functions.publish.role, [location], ledger);
    }

    startBySchedule(this, 'Schedule', {
      description: `Starts the compaction of ${title}`,
      schedule: job.schedule,
      stateMachine,
    });
    monitoring.alarm(`${id}-Failed`, 'compact', `compact ${title}: a partition failed`, stateMachine.metricFailed());
    monitoring.alarm(`${id}-TimedOut`, 'compact', `compact ${title}: a run did not end in time`, stateMachine.metricTimedOut());
    const turn = rateOf(job.schedule);
    // CloudWatch looks back seven days at most, in periods of a day at most.
    // https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html#alarm-evaluation
    if (turn !== undefined && turn.toDays({ integral: false }) <= 3.5) {
      const isLong = turn.toDays({ integral: false }) > 1;
      const period = isLong ? Duration.days(1) : turn;
      const periods = isLong ? Math.ceil(2 * turn.toDays({ integral: false })) : 2;
      // A dry run, a status and a run that leaves the work to another plan nothing. A run that fails later has an alarm of its own.
      const planned = monitoring.jobMetric(title, 'PartitionsPlanned').with({ statistic: Stats.SAMPLE_COUNT, period });
      monitoring.silence(`${id}-Age`, 'compact', `compact ${title}: no run has planned for two turns`, planned, periods);
    }
    const refused = monitoring.jobMetric(title, 'PartitionsRefused');
    monitoring.alarm(`${id}-Refused`, 'compact', `compact ${title}: partitions were refused`, refused);
    monitoring.row({
      [`${title}: runs`]: [stateMachine.metricSucceeded(), stateMachine.metricFailed()],
      [`${title}: partitions`]: [monitoring.jobMetric(title, 'PartitionsPlanned'), refused],
      [`${title}: files`]: ['FilesMerged', 'FilesCarried', 'FilesDeleted'].map((metric) => monitoring.jobMetric(title, metric)),
    });
    new CfnOutput(Stack.of(this), `${id}-StateMachineArn`, { value: stateMachine.stateMachineArn });
  }

  /** What it takes to point the catalog's partitions at new directories. */
  private swap(table: TableName, generations: Location, props: CompactJobProps, ledger: Location): void {
    const { job, location, functions, buckets } = props;
    const { plan, merge, publish } = functions;
    buckets.require(generations.bucket);
    buckets.forget(generations);
    grantReadCurrent(plan.role, generations);
    grantReadWrite(merge.role, generations, job);
    // Carried files are copied to the new directory.
    grantReadWrite(publish.role, generations, job);
    grantCopy(publish.role, [location, generations], [generations]);
    grantDeleteData(publish.role, [location, generations], ledger);
    grantReadTable(plan.role, table);
    grantMovePartitions(publish.role, table);
  }
}
