import { Annotations, Aws, CfnOutput, Duration, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import { Rule } from 'aws-cdk-lib/aws-events';
import { SqsQueue } from 'aws-cdk-lib/aws-events-targets';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as s3 from 'aws-cdk-lib/aws-s3';
import { FilterOrPolicy, SubscriptionFilter, Topic } from 'aws-cdk-lib/aws-sns';
import { SqsSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import type { Queue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { formatLocation, type Location } from './location.ts';
import { bucketOwner, type Notifications, type Options } from './options.ts';

/**
 * The buckets that the configuration names. Those are created here that `create-buckets` names; the others exist.
 *
 * Their names are fixed by the configuration, so a queue's policy can name its bucket before the bucket is
 * there. That order is needed: S3 checks that it may send to the queue when the notification is set.
 */
export class DataBuckets extends Construct {
  private readonly toCreate: Options['createBuckets'];
  private readonly notifications: Notifications;
  private readonly created = new Map<string, CreatedBucket>();
  private readonly missing = new Map<string, { prefix: Location; after?: Duration }[]>();

  constructor(scope: Construct, id: string, { createBuckets, notifications }: Pick<Options, 'createBuckets' | 'notifications'>) {
    super(scope, id);
    this.toCreate = createBuckets;
    this.notifications = notifications;
  }

  /** Creates a bucket, if the stack is to create it. */
  require(name: string): void {
    if ((this.toCreate === 'all' || this.toCreate.includes(name)) && !this.created.has(name)) {
      this.created.set(name, new CreatedBucket(this, name));
    }
  }

  /**
   * Adds a lifecycle rule that deletes what is left under a prefix. Existing buckets keep their own rules, because
   * CloudFormation would replace the whole set: `sayRules` names the rules to add to them.
   */
  expire(prefix: Location, after: Duration): void {
    this.addRule(prefix, after);
  }

  /** Adds a lifecycle rule that keeps what was deleted under a prefix for a day only: its bytes are elsewhere. */
  forget(prefix: Location): void {
    this.addRule(prefix);
  }

  private addRule(prefix: Location, after?: Duration): void {
    const created = this.created.get(prefix.bucket);
    if (created) {
      created.addLifecycleRule({ prefix: prefix.key, expiration: after, noncurrentVersionExpiration: Duration.days(1) });
    } else {
      this.missing.set(prefix.bucket, [...(this.missing.get(prefix.bucket) ?? []), { prefix, after }]);
    }
  }

  /**
   * Keeps the buckets that are named and that no job names any more: without its queue, a notification would be left behind. Warns
   * of the rules that existing buckets need, and makes them outputs.
   */
  end(): void {
    const left = this.toCreate === 'all' ? [] : this.toCreate.filter((name) => !this.created.has(name));
    for (const name of left) {
      this.require(name);
      Annotations.of(this).addWarningV2(
        `lakewright:unused-${name}`,
        `no job of the configuration names the bucket ${name} of create-buckets: it stays in the stack, or is created, and notifies nobody`,
      );
    }
    for (const [bucket, rules] of this.missing) {
      const entries = rules.map(({ prefix, after }) => ({
        ID: `lakewright ${after === undefined ? 'versions of ' : ''}${prefix.key}`,
        Status: 'Enabled',
        Filter: { Prefix: prefix.key },
        ...(after === undefined ? {} : { Expiration: { Days: after.toDays() } }),
        NoncurrentVersionExpiration: { NoncurrentDays: 1 },
        AbortIncompleteMultipartUpload: { DaysAfterInitiation: 7 },
      }));
      const output = `LifecycleRules-${bucket}`;
      new CfnOutput(Stack.of(this), output, {
        description: 'Rules to add to those of a bucket that exists already',
        value: JSON.stringify(entries),
      });
      const prefixes = rules
        .map(({ prefix, after }) =>
          after === undefined ? `noncurrent versions of ${prefix.key} after a day` : `${prefix.key} after ${after.toDays()} days`,
        )
        .join(', ');
      Annotations.of(this).addWarningV2(
        `lakewright:lifecycle-${bucket}`,
        `${bucket} exists already and keeps its own lifecycle rules: add some that delete ${prefixes} (output ${output.replaceAll(/[^A-Za-z0-9]/g, '')})`,
      );
    }
  }

  /** Lets the queue hear of every object that is created under the prefix. */
  notify(prefix: Location, queue: Queue): void {
    this.require(prefix.bucket);
    const notification = this.notifications(prefix.bucket);
    switch (notification.by) {
      case 's3':
        return this.byBucket(prefix, queue);
      case 'eventbridge':
        return this.byEventBridge(prefix, queue);
      case 'sns':
        return this.byTopic(prefix, queue, notification.topic);
      case 'none':
        return;
    }
  }

  /** The bucket's own configuration is not touched, unless the bucket is created here: it has to send its events to EventBridge. */
  private byEventBridge(prefix: Location, queue: Queue): void {
    const created = this.created.get(prefix.bucket);
    if (created) {
      created.notifyEventBridge();
    } else {
      Annotations.of(this).addWarningV2(
        `lakewright:eventbridge-${prefix.bucket}`,
        `${prefix.bucket} exists already: its owner has to turn on its EventBridge notifications, or nothing is heard of what lands`,
      );
    }
    // https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
    new Rule(queue, 'Landed', {
      description: `What lands under ${formatLocation(prefix)}`,
      eventPattern: {
        source: ['aws.s3'],
        detailType: ['Object Created'],
        detail: {
          bucket: { name: [prefix.bucket] },
          ...(prefix.key === '' ? {} : { object: { key: [{ prefix: prefix.key }] } }),
        },
      },
      targets: [new SqsQueue(queue)],
    });
  }

  /** A topic that the bucket's owner has the bucket notify, of everything or of more than one prefix. */
  private byTopic(prefix: Location, queue: Queue, arn: string): void {
    const topic = Topic.fromTopicArn(queue, 'Topic', arn);
    // Keys are form-urlencoded in notifications. A filter that does not hold for all of them would lose objects; without one, the
    // function ignores what no job reads.
    const filters = /^[A-Za-z0-9/_.-]+$/.test(prefix.key);
    topic.addSubscription(
      new SqsSubscription(queue, {
        rawMessageDelivery: true,
        ...(filters && {
          filterPolicyWithMessageBody: {
            Records: FilterOrPolicy.policy({
              s3: FilterOrPolicy.policy({
                object: FilterOrPolicy.policy({
                  key: FilterOrPolicy.filter(SubscriptionFilter.stringFilter({ matchPrefixes: [prefix.key] })),
                }),
              }),
            }),
          },
        }),
      }),
    );
  }

  private byBucket(prefix: Location, queue: Queue): void {
    const { policyDependable } = queue.addToResourcePolicy(
      new iam.PolicyStatement({
        principals: [new iam.ServicePrincipal('s3.amazonaws.com')],
        actions: ['sqs:SendMessage'],
        resources: [queue.queueArn],
        conditions: {
          ArnEquals: { 'aws:SourceArn': `arn:${Aws.PARTITION}:s3:::${prefix.bucket}` },
          // https://docs.aws.amazon.com/AmazonS3/latest/userguide/grant-destinations-permissions-to-s3.html
          StringEquals: { 'aws:SourceAccount': bucketOwner(this, prefix.bucket) },
        },
      }),
    );
    const policy = policyDependable ?? queue;
    const created = this.created.get(prefix.bucket);
    if (created) {
      created.notify(prefix.key, queue);
      created.node.addDependency(policy);
      return;
    }
    if (bucketOwner(this, prefix.bucket) !== Stack.of(this).account) {
      this.byOwner(prefix, queue);
      return;
    }
    // CloudFormation cannot set a property of a bucket outside the stack: CDK's custom resource adds the notification.
    const imported =
      (this.node.tryFindChild(prefix.bucket) as s3.IBucket | undefined) ??
      s3.Bucket.fromBucketName(this, prefix.bucket, prefix.bucket);
    imported.addEventNotification(
      s3.EventType.OBJECT_CREATED,
      {
        bind: () => ({
          arn: queue.queueArn,
          type: s3.BucketNotificationDestinationType.QUEUE,
          dependencies: [policy],
        }),
      },
      ...(prefix.key === '' ? [] : [{ prefix: prefix.key }]),
    );
    const handler = Stack.of(this).node.children.find(({ node }) => node.id.startsWith('BucketNotificationsHandler'));
    if (handler) {
      Validations.of(handler).acknowledge({
        id: 'AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole]',
        reason: "CDK's own handler of notifications logs by the managed policy; no function of ours has one.",
      });
    }
  }

  /** A bucket of another account: its owner adds the notification, which the queue takes. */
  private byOwner(prefix: Location, queue: Queue): void {
    const output = new CfnOutput(queue, 'Notification', {
      description: `A queue configuration that the owner of ${prefix.bucket} adds to the bucket's notifications`,
      value: Stack.of(this).toJsonString({
        QueueArn: queue.queueArn,
        Events: ['s3:ObjectCreated:*'],
        ...(prefix.key === '' ? {} : { Filter: { Key: { FilterRules: [{ Name: 'prefix', Value: prefix.key }] } } }),
      }),
    });
    Annotations.of(this).addWarningV2(
      `lakewright:owner-${formatLocation(prefix)}`,
      `${prefix.bucket} belongs to another account: its owner has to add the notification of ${formatLocation(prefix)} ` +
        `(output ${Stack.of(this).getLogicalId(output)}), or nothing is heard of what lands`,
    );
  }
}

class CreatedBucket extends s3.Bucket {
  private readonly queueConfigurations: s3.CfnBucket.QueueConfigurationProperty[] = [];

  constructor(scope: Construct, name: string) {
    super(scope, name, {
      bucketName: name,
      encryption: s3.BucketEncryption.S3_MANAGED,
      blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
      objectOwnership: s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
      enforceSSL: true,
      minimumTLSVersion: 1.2,
      versioned: true,
      // A deployment that fails leaves none behind, so that it can be repeated.
      removalPolicy: RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
      lifecycleRules: [
        { abortIncompleteMultipartUploadAfter: Duration.days(7) },
        { noncurrentVersionExpiration: Duration.days(30), expiredObjectDeleteMarker: true },
      ],
    });
    Validations.of(this).acknowledge({
      id: 'AwsSolutions-S1',
      reason: 'Object-level auditing of a lake is decided per account (CloudTrail data events), not by this stack.',
    });
  }

  notifyEventBridge(): void {
    (this.node.defaultChild as s3.CfnBucket).notificationConfiguration = { eventBridgeConfiguration: { eventBridgeEnabled: true } };
  }

  /** By a property of the bucket itself, not by CDK's custom resource: no extra function, and set from the start. */
  notify(prefix: string, queue: Queue): void {
    this.queueConfigurations.push({
      event: s3.EventType.OBJECT_CREATED,
      queue: queue.queueArn,
      ...(prefix === '' ? {} : { filter: { s3Key: { rules: [{ name: 'prefix', value: prefix }] } } }),
    });
    (this.node.defaultChild as s3.CfnBucket).notificationConfiguration = {
      queueConfigurations: this.queueConfigurations,
    };
  }
}
