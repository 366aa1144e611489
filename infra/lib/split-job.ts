import { CfnOutput, Duration, Stack, Validations } from 'aws-cdk-lib';
import { Stats } from 'aws-cdk-lib/aws-cloudwatch';
import * as iam from 'aws-cdk-lib/aws-iam';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { grantEncryption, grantLedger, grantQueueKey, grantReadAnywhere, grantReadCurrent, grantRows } from './access.ts';
import type { SplitConfig } from './config.ts';
import type { DataBuckets } from './data-buckets.ts';
import type { LakewrightFunction } from './lakewright-function.ts';
import type { Monitoring } from './monitoring.ts';
import type { Options } from './options.ts';
import { createQueue } from './queue.ts';
import { SplitMachine } from './split-machine.ts';

/** How often a chunk is tried. */
const RECEIVES = 5;

export interface SplitJobProps {
  readonly job: SplitConfig;
  /** The function `split-plan`, and its timeout. */
  readonly plan: LakewrightFunction;
  readonly planTimeout: Duration;
  readonly rows: LakewrightFunction;
  readonly buckets: DataBuckets;
  readonly monitoring: Monitoring;
  readonly options: Options;
}

/**
 * One `[[split]]` entry: its state machine has `split-plan` cut a result into chunks, which go to a queue of its own, which
 * feeds `split-rows`. A chunk that keeps failing comes to the dead-letter queue, which feeds `split-rows` too: it then
 * fails the run by name.
 */
export class SplitJob extends Construct {
  readonly queue: sqs.Queue;
  readonly deadLetterQueue: sqs.Queue;

  constructor(scope: Construct, id: string, props: SplitJobProps) {
    super(scope, id);
    const { job, plan, planTimeout, rows, buckets, monitoring, options } = props;

    // Six times the timeout leaves room for the retries of a throttled invocation.
    // https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    const visibilityTimeout = Duration.seconds(6 * options.splitRowsTimeout.toSeconds());
    this.deadLetterQueue = createQueue(this, 'DeadLetterQueue', { visibilityTimeout });
    this.queue = createQueue(this, 'Queue', {
      visibilityTimeout,
      deadLetterQueue: { queue: this.deadLetterQueue, maxReceiveCount: RECEIVES },
    });
    // A chunk is work for seconds, and fills the memory: each is an invocation of its own.
    rows.invoked.addEventSource(
      new SqsEventSource(this.queue, {
        batchSize: 1,
        maxConcurrency: options.maxConcurrency,
        reportBatchItemFailures: true,
      }),
    );
    rows.invoked.addEventSource(
      new SqsEventSource(this.deadLetterQueue, { batchSize: 10, maxConcurrency: 2, reportBatchItemFailures: true }),
    );
    this.queue.grantSendMessages(plan.role);
    grantQueueKey(plan.role, 'write');
    grantQueueKey(rows.role, 'read');

    const { stateMachine } = new SplitMachine(this, 'Machine', {
      job,
      plan,
      // Planning, and twice what it takes to give a chunk up: another run of the job may be before it in the queue.
      heartbeat: planTimeout.plus(Duration.seconds(2 * RECEIVES * visibilityTimeout.toSeconds())),
      options,
    });
    // No part of the functions' own policies, on which they, and so the state machine, depend.
    const callback = new iam.Policy(this, 'Callback', {
      roles: [plan.role, rows.role],
      statements: [
        new iam.PolicyStatement({
          actions: ['states:SendTaskSuccess', 'states:SendTaskFailure', 'states:SendTaskHeartbeat'],
          resources: ['*'],
        }),
      ],
    });
    Validations.of(callback).acknowledge({
      id: 'AwsSolutions-IAM5[Resource::*]',
      // https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsstepfunctions.html
      reason:
        'AWS gives the SendTask actions no resource type, so a grant on the ARN of a state machine matches nothing. ' +
        'The task token, which only the state machine gives out, is what holds them to one task.',
    });

    buckets.require(job.target.bucket);
    for (const source of job.sources) {
      buckets.require(source.bucket);
      grantReadCurrent(plan.role, source);
      grantReadCurrent(rows.role, source);
    }
    if (job.allowsAnySource) {
      grantReadAnywhere(plan.role);
      grantReadAnywhere(rows.role);
    }
    grantLedger(plan.role, { bucket: job.target.bucket, key: `${job.target.key}_lakewright/split/` }, job);
    grantRows(rows.role, job.target, job);
    for (const { role } of [plan, rows]) {
      grantEncryption(role, job);
    }

    const waiting = { statistic: Stats.MAXIMUM };
    const failed = monitoring.jobMetric(job.name, 'ChunksFailed');
    const dead = this.deadLetterQueue.metricApproximateNumberOfMessagesVisible(waiting);
    monitoring.alarm(`${id}-Failed`, 'split', `split ${job.name}: a job failed`, stateMachine.metricFailed());
    monitoring.alarm(`${id}-TimedOut`, 'split', `split ${job.name}: a job did not end in time`, stateMachine.metricTimedOut());
    monitoring.alarm(`${id}-ChunksFailed`, 'split', `split ${job.name}: a chunk's rows were not written`, failed);
    monitoring.alarm(
      `${id}-DeadLetters`,
      'split',
      `split ${job.name}: a chunk that was given up is not noted as failed`,
      this.deadLetterQueue.metricApproximateAgeOfOldestMessage(waiting),
      visibilityTimeout.toSeconds(),
    );
    monitoring.row({
      [`${job.name}: objects`]: [monitoring.jobMetric(job.name, 'ObjectsWritten'), monitoring.jobMetric(job.name, 'ObjectsStood')],
      [`${job.name}: chunks`]: [monitoring.jobMetric(job.name, 'ChunksDone'), failed],
      [`${job.name}: messages`]: [this.queue.metricApproximateNumberOfMessagesVisible(waiting), dead],
    });

    const outputs = {
      QueueUrl: this.queue.queueUrl,
      DeadLetterQueueUrl: this.deadLetterQueue.queueUrl,
      TargetBucket: job.target.bucket,
      StateMachineArn: stateMachine.stateMachineArn,
    };
    for (const [key, value] of Object.entries(outputs)) {
      new CfnOutput(Stack.of(this), `${id}-${key}`, { value });
    }
  }
}
