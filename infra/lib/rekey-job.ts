import { CfnOutput, Duration, Stack } from 'aws-cdk-lib';
import { Stats } from 'aws-cdk-lib/aws-cloudwatch';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { grantColumns, grantDelete, grantEncryption, grantPartitions, grantQueueKey, grantReadCurrent, grantReadWrite, grantSecret } from './access.ts';
import type { RekeyConfig } from './config.ts';
import type { DataBuckets } from './data-buckets.ts';
import type { LakewrightFunction } from './lakewright-function.ts';
import { contains, join } from './location.ts';
import { WATCHED, type Monitoring } from './monitoring.ts';
import type { Options } from './options.ts';
import { createQueue } from './queue.ts';
import { Sweep } from './sweep.ts';

export interface RekeyJobProps {
  readonly job: RekeyConfig;
  /** The function `rekey`, which all rekey jobs share. */
  readonly rekey: LakewrightFunction;
  readonly buckets: DataBuckets;
  readonly monitoring: Monitoring;
  readonly options: Options;
}

/** How often a message is delivered before it is a dead letter. */
const RECEIVES = 7;

/** When half of the time is over that SQS keeps a message. */
const LONG_WAIT = Duration.days(7);

/**
 * One `[[rekey]]` entry: what lands under its source is told to a queue of its own, which feeds the function.
 * What was never told is found by a sweep, which fills a second queue. That one feeds the same function, but fewer of its
 * invocations, so that no backfill delays what lands. A message of either that keeps failing ends in the job's dead-letter queue.
 */
export class RekeyJob extends Construct {
  readonly backfillQueue: sqs.Queue;

  constructor(scope: Construct, id: string, { job, rekey, buckets, monitoring, options }: RekeyJobProps) {
    super(scope, id);

    const deadLetterQueue = createQueue(this, 'DeadLetterQueue');
    // Six times the timeout leaves room for the retries of a throttled invocation; five receives or more, for a passing fault. What
    // passes comes again sooner, so there are two more.
    // https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    const window = Duration.seconds(job.batch.window);
    const tries = Duration.seconds(6 * options.timeout.toSeconds());
    const visibilityTimeout = tries.plus(window);
    const dead = { queue: deadLetterQueue, maxReceiveCount: RECEIVES };
    const queue = createQueue(this, 'Queue', { visibilityTimeout, deadLetterQueue: dead });
    const backfillQueue = createQueue(this, 'BackfillQueue', { visibilityTimeout: tries, deadLetterQueue: dead });
    this.backfillQueue = backfillQueue;

    buckets.notify(job.source, queue);
    buckets.require(job.target.bucket);
    rekey.invoked.addEventSource(
      new SqsEventSource(queue, {
        // More than ten take a window. What exceeds 6 MB of messages is handed over in parts.
        // https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
        batchSize: window.toSeconds() === 0 ? Math.min(job.batch.objects, 10) : job.batch.objects,
        maxBatchingWindow: window,
        maxConcurrency: options.maxConcurrency,
        reportBatchItemFailures: true,
      }),
    );
    rekey.invoked.addEventSource(
      // A message lists as many objects as are planned together.
      new SqsEventSource(backfillQueue, {
        batchSize: 1,
        maxConcurrency: options.backfillConcurrency,
        reportBatchItemFailures: true,
      }),
    );
    grantReadCurrent(rekey.role, job.source);
    grantReadWrite(rekey.role, job.target, job);
    for (const { target, table } of job.routes) {
      buckets.require(target.bucket);
      if (!contains(job.target, target)) {
        grantReadWrite(rekey.role, target, job);
      }
      grantPartitions(rekey.role, table);
    }
    grantEncryption(rekey.role, job);
    // Rows of an object too large for memory and /tmp, while it is processed. Nothing else is ever deleted.
    const spool = join(job.target, '_lakewright/spool/');
    grantDelete(rekey.role, spool);
    buckets.expire(spool, options.spoolExpiry);
    if (options.quarantineExpiry !== undefined) {
      buckets.expire(join(job.target, '_lakewright/quarantine/'), options.quarantineExpiry);
    }
    if (job.table) {
      grantPartitions(rekey.role, job.table);
      if (job.addsColumns) {
        grantColumns(rekey.role, job.table);
      }
    }
    for (const secret of job.secrets) {
      grantSecret(rekey.role, secret);
    }

    const { stateMachine } = new Sweep(this, 'Sweep', { job, rekey, monitoring, options });
    backfillQueue.grantSendMessages(rekey.role);
    grantQueueKey(rekey.role, 'write');

    const waiting = { statistic: Stats.MAXIMUM };
    const deadLetters = deadLetterQueue.metricApproximateNumberOfMessagesVisible(waiting);
    const age = queue.metricApproximateAgeOfOldestMessage(waiting);
    const backfillAge = backfillQueue.metricApproximateAgeOfOldestMessage(waiting);
    const quarantined = monitoring.jobMetric(job.name, 'RowsQuarantined');
    const landed = queue.metricNumberOfMessagesSent({ period: WATCHED, statistic: Stats.SUM });
    const toCommit = monitoring.jobMetric(job.name, 'LandingToCommitSeconds');
    monitoring.alarm(`${id}-DeadLetters`, 'redriving-and-redelivering', `rekey ${job.name}: a message failed ${RECEIVES} times`, deadLetters);
    monitoring.alarm(
      `${id}-Age`,
      'redriving-and-redelivering',
      `rekey ${job.name}: an object waits longer than a whole try takes`,
      age,
      visibilityTimeout.toSeconds(),
    );
    monitoring.alarm(
      `${id}-BackfillAge`,
      'the-sweep',
      `rekey ${job.name}: a message of a backfill waits for a week, and is lost after two`,
      backfillAge,
      LONG_WAIT.toSeconds(),
    );
    monitoring.alarm(`${id}-Quarantined`, 'the-ledger', `rekey ${job.name}: rows went to the quarantine`, quarantined);
    if (options.lateAlarm) {
      monitoring.alarmUnless(
        `${id}-Late`,
        'what-to-watch',
        `rekey ${job.name}: of ten objects that were committed in an hour, one had landed longer ago than a whole try takes`,
        toCommit.with({ statistic: Stats.p(90), period: WATCHED }),
        visibilityTimeout.toSeconds(),
        // A backfill commits what landed long ago.
        [backfillQueue.metricApproximateNumberOfMessagesVisible(waiting), backfillQueue.metricApproximateNumberOfMessagesNotVisible(waiting)],
      );
    }
    if (options.lullAlarm) {
      monitoring.lull(
        `${id}-Lull`,
        'what-to-watch',
        `rekey ${job.name}: less lands than usual at this hour`,
        landed,
        3,
      );
    }
    monitoring.row({
      [`${job.name}: rows`]: [monitoring.jobMetric(job.name, 'RowsIn'), monitoring.jobMetric(job.name, 'RowsOut'), quarantined],
      [`${job.name}: messages`]: [queue, backfillQueue, deadLetterQueue].map((of) => of.metricApproximateNumberOfMessagesVisible(waiting)),
      [`${job.name}: age of the oldest message`]: [age, backfillAge],
      [`${job.name}: landed, and found by a sweep`]: [landed, monitoring.jobMetric(job.name, 'SweepFound').with({ period: WATCHED })],
    });
    monitoring.row({
      [`${job.name}: seconds from landing to commit`]: [Stats.p(50), Stats.p(99), Stats.MAXIMUM].map((statistic) =>
        toCommit.with({ statistic }),
      ),
      [`${job.name}: lateness of records`]: ['LatenessP50', 'LatenessP99', 'LatenessMax'].map((metric) =>
        monitoring.jobMetric(job.name, metric).with(waiting),
      ),
    });

    const outputs = {
      QueueUrl: queue.queueUrl,
      BackfillQueueUrl: backfillQueue.queueUrl,
      DeadLetterQueueUrl: deadLetterQueue.queueUrl,
      SourceBucket: job.source.bucket,
      TargetBucket: job.target.bucket,
      SweepStateMachineArn: stateMachine.stateMachineArn,
    };
    for (const [key, value] of Object.entries(outputs)) {
      new CfnOutput(Stack.of(this), `${id}-${key}`, { value });
    }
  }
}
