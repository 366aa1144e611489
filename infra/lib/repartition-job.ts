import { CfnOutput, Duration, Stack } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import {
  grantDelete,
  grantDeleteData,
  grantEncryption,
  grantLedger,
  grantManageTable,
  grantPartitions,
  grantReadAnywhere,
  grantReadCurrent,
  grantReadNamed,
  grantReadPartitions,
  grantReadTable,
  grantReadWrite,
  grantSecret,
  grantSuccess,
} from './access.ts';
import type { RepartitionConfig } from './config.ts';
import type { DataBuckets } from './data-buckets.ts';
import { join, type Location } from './location.ts';
import type { Monitoring } from './monitoring.ts';
import type { Options } from './options.ts';
import { RepartitionMachine, type RepartitionFunctions } from './repartition-machine.ts';

export interface RepartitionJobProps {
  readonly job: RepartitionConfig;
  /** The location of the source, if it is known. */
  readonly source?: Location;
  readonly functions: RepartitionFunctions;
  readonly buckets: DataBuckets;
  readonly monitoring: Monitoring;
  readonly options: Options;
}

/** One `[[repartition]]` entry: a state machine, started by hand or by whatever updates the source. */
export class RepartitionJob extends Construct {
  constructor(scope: Construct, id: string, props: RepartitionJobProps) {
    super(scope, id);
    const { job, source, functions, buckets, monitoring, options } = props;
    const { stateMachine } = new RepartitionMachine(this, 'Machine', {
      job: job.name,
      functions,
      options,
    });

    const { plan, write, commit } = functions;
    const ledger = join(job.target, `_lakewright/repartition/${job.name}/`);
    buckets.require(job.target.bucket);
    // Lists too long for the state machine's own data.
    grantReadNamed(stateMachine.role, ledger);
    grantEncryption(stateMachine.role, job, 'read');
    for (const { role } of [plan, write]) {
      if (source) {
        grantReadCurrent(role, source);
      } else if (job.allowsAnySource) {
        grantReadAnywhere(role);
      }
    }
    for (const { role } of [plan, write]) {
      for (const secret of job.secrets) {
        grantSecret(role, secret);
      }
    }
    grantReadCurrent(plan.role, job.target);
    grantLedger(plan.role, ledger, job);
    grantSuccess(plan.role, job.target, job);
    grantReadWrite(write.role, job.target, job);
    grantReadWrite(commit.role, job.target, job);
    for (const { role } of [plan, write, commit]) {
      grantEncryption(role, job);
    }
    // Rows while they are processed. A run lasts at most as long as its execution.
    const rows = join(job.target, `_repartitioning/${job.name}/`);
    grantDelete(write.role, rows);
    buckets.expire(rows, Duration.days(8));
    // The plan finishes an interrupted commit.
    for (const { role } of [plan, commit]) {
      grantDeleteData(role, [job.target], join(job.target, '_lakewright/'));
    }
    if ('table' in job.source) {
      grantReadPartitions(plan.role, job.source);
    } else {
      buckets.require(job.source.bucket);
    }
    if (job.table) {
      // The plan looks where the partitions are that it replaces.
      grantReadTable(plan.role, job.table);
      for (const { role } of [plan, commit]) {
        grantPartitions(role, job.table);
        if (job.managesTable) {
          grantManageTable(role, job.table);
        }
      }
    }

    monitoring.alarm(`${id}-Failed`, 'repartition', `repartition ${job.name}: a run failed`, stateMachine.metricFailed());
    monitoring.alarm(`${id}-TimedOut`, 'repartition', `repartition ${job.name}: a run did not end in time`, stateMachine.metricTimedOut());
    monitoring.row({ [`${job.name}: runs`]: [stateMachine.metricSucceeded(), stateMachine.metricFailed()] });
    const outputs = { TargetBucket: job.target.bucket, StateMachineArn: stateMachine.stateMachineArn };
    for (const [key, value] of Object.entries(outputs)) {
      new CfnOutput(Stack.of(this), `${id}-${key}`, { value });
    }
  }
}
