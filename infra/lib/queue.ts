/** The queues of the jobs. */
import { Duration } from 'aws-cdk-lib';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { queueKey } from './options.ts';

/** The longest that SQS keeps a message. */
const RETENTION = Duration.days(14);

/** A queue that refuses plain HTTP and is encrypted: by SQS's own key, or by the one that `queue-key` names. */
export function createQueue(scope: Construct, id: string, props: Pick<sqs.QueueProps, 'visibilityTimeout' | 'deadLetterQueue'> = {}): sqs.Queue {
  const queue = new sqs.Queue(scope, id, {
    ...props,
    encryption: sqs.QueueEncryption.SQS_MANAGED,
    enforceSSL: true,
    retentionPeriod: RETENTION,
  });
  const key = queueKey(scope.node);
  if (key !== undefined) {
    // Not by CDK's property, which would grant the functions to encrypt anything with the key. access.ts grants what it takes.
    const own = queue.node.defaultChild as sqs.CfnQueue;
    own.sqsManagedSseEnabled = undefined;
    own.kmsMasterKeyId = key;
  }
  return queue;
}
