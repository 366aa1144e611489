import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import { beforeAll, describe, expect, test } from 'vitest';
import { pageOf } from '../lib/operations.ts';
import { permissions } from './permissions.ts';
import { allowed, build, flat, list, resources, template, TWO_COMPACTIONS, TWO_JOBS, TWO_REPARTITIONS, TWO_SPLITS, type Context, type Resource } from './support.ts';

let stack: Template;
beforeAll(() => {
  stack = template();
});

interface Statement {
  Effect: string;
  Action: string | string[];
  Resource: unknown;
  Principal?: Record<string, unknown>;
  Condition?: unknown;
}
const statements = (policy: Resource): Statement[] => policy.Properties['PolicyDocument'].Statement;
const policyOf = (role: string): Resource => {
  const policies = resources(stack, 'AWS::IAM::Policy').filter(([id]) => id.startsWith(role));
  expect(policies).toHaveLength(1);
  return policies[0]![1];
};
const isDeadLetterQueue = ([id]: [string, Resource]) => id.includes('DeadLetter');
/** Whether a queue, or its policy, is one that S3 sends to. */
const isTold = ([id]: [string, Resource]) => !/DeadLetter|Backfill/.test(id);

describe('the function', () => {
  test('is deployed under its own name, on arm64', () => {
    stack.resourceCountIs('AWS::Lambda::Function', 1);
    stack.hasResourceProperties('AWS::Lambda::Function', {
      FunctionName: 'rekey',
      Runtime: 'provided.al2023',
      Handler: 'bootstrap',
      Architectures: ['arm64'],
      MemorySize: 512,
      EphemeralStorage: { Size: 2048 },
      Timeout: 300,
      LoggingConfig: { LogFormat: 'JSON', LogGroup: Match.anyValue() },
    });
  });

  test('shows values of records only where it is asked to', () => {
    const variables = (of: Template) =>
      resources(of, 'AWS::Lambda::Function').map(([, { Properties }]) => Object.keys(Properties['Environment'].Variables));
    expect(variables(stack).flat()).not.toContain('LAKEWRIGHT_SHOW_VALUES');
    template(undefined, { 'show-values': 'true' }).hasResourceProperties('AWS::Lambda::Function', {
      Environment: { Variables: { LAKEWRIGHT_SHOW_VALUES: 'true' } },
    });
  });

  test('has the allocator keep the memory of every function', () => {
    const all = resources(stack, 'AWS::Lambda::Function').map(([, { Properties }]) => Properties['Environment'].Variables);
    expect(all).not.toHaveLength(0);
    for (const variables of all) expect(variables).toMatchObject({ MALLOC_ARENA_MAX: '1', MALLOC_TRIM_THRESHOLD_: '536870912' });
  });

  test('has the prefix that a second stack of the account gives', () => {
    const second = template(undefined, { 'name-prefix': 'staging-' });
    second.hasResourceProperties('AWS::Lambda::Function', { FunctionName: 'staging-rekey' });
    second.hasResourceProperties('AWS::Logs::LogGroup', { LogGroupName: '/aws/lambda/staging-rekey' });
  });

  test('takes its size from the context, as text or number', () => {
    template(undefined, {
      architecture: 'x86_64',
      memory: '1024',
      'ephemeral-storage': 512,
      timeout: '60',
    }).hasResourceProperties('AWS::Lambda::Function', {
      Architectures: ['x86_64'],
      MemorySize: 1024,
      EphemeralStorage: { Size: 512 },
      Timeout: 60,
    });
  });

  test('is built from the workspace where no zip is given', () => {
    template(undefined, { prebuilt: undefined }).hasResourceProperties('AWS::Lambda::Function', {
      FunctionName: 'rekey',
      Runtime: 'provided.al2023',
      Architectures: ['arm64'],
    });
  });

  test('finds the configuration, which changes its name with its content, and may read that object alone', () => {
    const found = (of: Template) => {
      const [[, fn]] = resources(of, 'AWS::Lambda::Function') as [[string, Resource]];
      return flat(fn.Properties['Environment'].Variables.LAKEWRIGHT_CONFIG);
    };
    const uri = found(stack);
    expect(uri).toMatch(/^s3:\/\/cdk-\w+-assets-<AWS::AccountId>-<AWS::Region>\/[0-9a-f]{64}\.toml$/);
    expect(found(template(`${TWO_JOBS}\n# edited`))).not.toBe(uri);
    const granted = statements(policyOf('RekeyRole')).flatMap(({ Resource }) => list(Resource).map(flat));
    expect(granted).toContain(uri.replace('s3://', 'arn:<AWS::Partition>:s3:::'));
  });

  test('logs to a group that is kept for at least two weeks', () => {
    const groups = resources(stack, 'AWS::Logs::LogGroup').map(([, { Properties }]) => Properties);
    expect(groups.map(({ LogGroupName }) => LogGroupName)).toContain('/aws/lambda/rekey');
    for (const { RetentionInDays } of groups) {
      expect(RetentionInDays).toBeGreaterThanOrEqual(14);
    }
  });
});

describe('the role', () => {
  test('allows what the jobs need and nothing else', () => {
    const s3 = 'arn:<AWS::Partition>:s3:::';
    const glue = 'arn:<AWS::Partition>:glue:<AWS::Region>:<AWS::AccountId>:';
    const of = (actions: string[], resourcesOf: string[]) =>
      actions.flatMap((action) => resourcesOf.map((resource) => `${action} ${resource}`));
    const underPrefix = (prefix: string) => ` {"StringLikeIfExists":{"s3:prefix":"${prefix}*"}}`;
    const queues = resources(stack, 'AWS::SQS::Queue')
      .filter((queue) => !isDeadLetterQueue(queue))
      .map(([id]) => `<${id}.Arn>`);
    const backfills = queues.filter((arn) => arn.includes('BackfillQueue'));
    expect([queues.length, backfills.length]).toEqual([4, 2]);
    const [logGroup] = resources(stack, 'AWS::Logs::LogGroup').find(([id]) => id.startsWith('RekeyLogs'))!;
    expect(allowed([policyOf('RekeyRole')])).toEqual(
      [
        ...of(['logs:CreateLogStream', 'logs:PutLogEvents'], [`<${logGroup}.Arn>`]),
        ...of(['s3:GetObject'], [`${s3}cdk-hnb659fds-assets-<AWS::AccountId>-<AWS::Region>/<hash>.toml`]),
        ...of(
          ['ReceiveMessage', 'DeleteMessage', 'ChangeMessageVisibility', 'GetQueueAttributes', 'GetQueueUrl'].map(
            (action) => `sqs:${action}`,
          ),
          queues,
        ),
        // What lands is told by S3 alone. CDK grants the two of each grant once more.
        ...of(['SendMessage', 'GetQueueAttributes', 'GetQueueUrl'].map((action) => `sqs:${action}`), backfills),
        ...['anpr/', 'orders/'].flatMap((prefix) => [
          ...of(['s3:GetObject'], [`${s3}acme-landing/${prefix}*`]),
          ...of(
            ['s3:GetObject', 's3:PutObject', 's3:AbortMultipartUpload'],
            [`${s3}acme-lake/${prefix}*`],
          ),
          ...of(['s3:DeleteObject'], [`${s3}acme-lake/${prefix}_lakewright/spool/*`]),
          ...of(['s3:ListBucket'], [`${s3}acme-landing`, `${s3}acme-lake`]).map((allow) => allow + underPrefix(prefix)),
        ]),
        ...of(
          ['GetTable', 'BatchGetPartition', 'BatchCreatePartition'].map((a) => `glue:${a}`),
          [`${glue}catalog`, `${glue}database/anpr`, `${glue}table/anpr/by_event_time`],
        ),
      ].sort(),
    );
  });

  test('changes the tables to which columns are added, and no others', () => {
    const of = template(TWO_JOBS.replace(/^(?=table = )/m, 'on_unknown = "add"\n'));
    const changes = (template: Template) => permissions(template).filter(({ actions }) => actions.includes('glue:UpdateTable'));
    const glue = 'arn:aws:glue:eu-central-1:111122223333:';
    expect(changes(of).map(({ actions, resources: on, roles }) => [actions, on, roles.map((role) => role.replace(/[0-9A-F]{8}$/, ''))])).toEqual([
      [
        ['BatchCreatePartition', 'BatchGetPartition', 'GetTable', 'UpdateTable'].map((action) => `glue:${action}`),
        [`${glue}catalog`, `${glue}database/anpr`, `${glue}table/anpr/by_event_time`],
        ['RekeyRole'],
      ],
    ]);
    expect(changes(stack)).toEqual([]);
  });

  test('reads the secrets that columns are hashed with, and no others', () => {
    const hashed = (name: string, secret: string) => `  { name = "${name}", hash = { secret = "${secret}" } },`;
    const secrets = ['secretsmanager:lake/pseudonyms', 'secretsmanager:lake/pseudonyms', 'ssm:/lake/a', 'ssm:b'];
    const columns = (key: string, more: string) => [`${key} = [`, ...secrets.map((secret, i) => hashed(`c${i}`, secret)), more, ']'].join('\n');
    const rekey = TWO_JOBS.replace(/^(?=table = )/m, `${columns('column', '{ name = "c", drop = true },')}\n`);
    const repartition = TWO_REPARTITIONS.replace(/^(?=format = "csv")/m, `${columns('columns', '"c",')}\n`);
    const of = template(`${rekey}\n${repartition}`);
    const reads = permissions(of).filter(({ actions }) => actions.some((action) => /^(secretsmanager|ssm):/.test(action)));
    const arn = 'arn:aws:secretsmanager:eu-central-1:111122223333:secret:lake/pseudonyms-??????';
    const parameter = (name: string) => `arn:aws:ssm:eu-central-1:111122223333:parameter/${name}`;
    const found = reads.flatMap(({ actions, resources: all, roles }) =>
      roles.flatMap((role) => all.map((on) => `${role.replace(/[0-9A-F]{8}$/, '')} ${actions.join()} ${on}`)),
    );
    const expected = ['RekeyRole', 'RepartitionPlanRole', 'RepartitionWriteRole'].flatMap((role) => [
      `${role} secretsmanager:GetSecretValue ${arn}`,
      ...['b', 'b:*', 'lake/a', 'lake/a:*'].map((name) => `${role} ssm:GetParameter ${parameter(name)}`),
    ]);
    expect(found.sort()).toEqual(expected.sort());
  });

  test('has no managed policy', () => {
    for (const [, { Properties }] of resources(stack, 'AWS::IAM::Role')) {
      expect(Properties['ManagedPolicyArns']).toBeUndefined();
    }
  });

  test('touches no catalog where no job has a table', () => {
    const untabled = template(TWO_JOBS.replace(/^table = .*$/m, ''));
    expect(JSON.stringify(untabled.findResources('AWS::IAM::Policy'))).not.toContain('glue:');
  });
});

describe('the queues', () => {
  test('are encrypted, keep messages for 14 days and refuse plain HTTP', () => {
    const queues = resources(stack, 'AWS::SQS::Queue');
    expect(queues).toHaveLength(6);
    const policies = resources(stack, 'AWS::SQS::QueuePolicy').map(([, policy]) => policy);
    for (const [id, { Properties }] of queues) {
      expect(Properties).toMatchObject({ SqsManagedSseEnabled: true, MessageRetentionPeriod: 14 * 86_400 });
      const policy = policies.find(({ Properties: { Queues } }) => flat(Queues[0]) === `<${id}>`);
      expect(statements(policy!)).toContainEqual(
        expect.objectContaining({
          Effect: 'Deny',
          Action: 'sqs:*',
          Principal: { AWS: '*' },
          Condition: { Bool: { 'aws:SecureTransport': 'false' } },
        }),
      );
    }
  });

  /** The event source mappings of what lands, and of what is found. */
  const mappings = (of: Template) => {
    const all = resources(of, 'AWS::Lambda::EventSourceMapping').map(([, mapping]) => mapping);
    const isBackfill = ({ Properties }: Resource) => flat(Properties['EventSourceArn']).includes('BackfillQueue');
    return { live: all.filter((mapping) => !isBackfill(mapping)), backfill: all.filter(isBackfill) };
  };
  const batched = (batch: string) => TWO_JOBS.replaceAll('[[rekey]]', `[[rekey]]\nbatch = ${batch}`);

  test.each<[string, [number, number]]>([
    ['{}', [1_000, 60]],
    ['{ window = "0s" }', [10, 0]],
    ['{ window = "0s", objects = 3 }', [3, 0]],
    ['{ window = "1m 30s", objects = 100 }', [100, 90]],
    ['{ window = "2 minutes", objects = 7 }', [7, 120]],
    ['{ window = "5m", objects = 10000 }', [10_000, 300]],
  ])('hand over what the configuration says: %s', (batch, expected) => {
    for (const { Properties } of mappings(template(batched(batch))).live) {
      expect([Properties['BatchSize'], Properties['MaximumBatchingWindowInSeconds']]).toEqual(expected);
    }
  });

  test('hand over what a sweep found message by message, to fewer invocations', () => {
    for (const [context, live, backfill] of [
      [{}, 50, 5],
      [{ 'max-concurrency': 7, 'backfill-concurrency': '3' }, 7, 3],
    ] as const) {
      const of = mappings(template(undefined, context));
      expect(of.live.map(({ Properties }) => Properties['ScalingConfig'].MaximumConcurrency)).toEqual([live, live]);
      for (const { Properties } of of.backfill) {
        expect(Properties).toMatchObject({ BatchSize: 1, ScalingConfig: { MaximumConcurrency: backfill } });
      }
      expect(of.backfill).toHaveLength(2);
    }
  });

  test.each<[string, Context, number]>([
    ['{}', {}, 300],
    ['{}', { timeout: 900 }, 900],
    ['{ window = "0s" }', {}, 300],
    ['{ window = "5s", objects = 100 }', { timeout: 60 }, 60],
    ['{ window = "300s", objects = 10000 }', { timeout: 900 }, 900],
  ])('hold to what Lambda asks of a queue that feeds it: %s, %j', (batch, context, timeout) => {
    const of = template(batched(batch), context);
    const queues = new Map(resources(of, 'AWS::SQS::Queue'));
    for (const [, { Properties: mapping }] of resources(of, 'AWS::Lambda::EventSourceMapping')) {
      const queue = queues.get(mapping['EventSourceArn']['Fn::GetAtt'][0])!;
      const window: number = mapping['MaximumBatchingWindowInSeconds'] ?? 0;
      expect(mapping['BatchSize'] <= 10 || window >= 1).toBe(true);
      expect(queue.Properties['VisibilityTimeout']).toBeGreaterThanOrEqual(6 * timeout + window);
      expect(queue.Properties['VisibilityTimeout']).toBeLessThanOrEqual(43_200);
      expect(mapping['FunctionResponseTypes']).toEqual(['ReportBatchItemFailures']);
      expect(mapping['ScalingConfig'].MaximumConcurrency).toBeGreaterThanOrEqual(2);
    }
  });

  test('give up on a message after seven receives, into one queue for each job', () => {
    const feeding = resources(stack, 'AWS::SQS::Queue').filter((queue) => !isDeadLetterQueue(queue));
    const deadLetterQueues = feeding.map(([, { Properties }]) => {
      expect(Properties['RedrivePolicy'].maxReceiveCount).toBe(7);
      return flat(Properties['RedrivePolicy'].deadLetterTargetArn);
    });
    expect(feeding).toHaveLength(4);
    expect(new Set(deadLetterQueues).size).toBe(2);
    expect(deadLetterQueues.every((arn) => arn.includes('DeadLetterQueue'))).toBe(true);
  });

  test('let in the bucket of the account, and nobody else', () => {
    const senders = resources(stack, 'AWS::SQS::QueuePolicy').flatMap(([, policy]) =>
      statements(policy)
        .filter(({ Effect }) => Effect === 'Allow')
        .map(({ Action, Principal, Condition }) => ({ Action, Principal, Condition })),
    );
    const landing = {
      Action: 'sqs:SendMessage',
      Principal: { Service: 's3.amazonaws.com' },
      Condition: {
        ArnEquals: { 'aws:SourceArn': { 'Fn::Join': ['', ['arn:', { Ref: 'AWS::Partition' }, ':s3:::acme-landing']] } },
        StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } },
      },
    };
    expect(senders).toEqual([landing, landing]);
  });
});

describe('buckets of the stack', () => {
  test('are private, encrypted, versioned and kept when the stack goes', () => {
    const buckets = resources(stack, 'AWS::S3::Bucket');
    expect(buckets.map(([, { Properties }]) => Properties['BucketName']).sort()).toEqual(['acme-lake', 'acme-landing']);
    for (const [, bucket] of buckets) {
      expect(bucket).toMatchObject({
        DeletionPolicy: 'RetainExceptOnCreate',
        UpdateReplacePolicy: 'Retain',
        Properties: {
          PublicAccessBlockConfiguration: {
            BlockPublicAcls: true,
            BlockPublicPolicy: true,
            IgnorePublicAcls: true,
            RestrictPublicBuckets: true,
          },
          OwnershipControls: { Rules: [{ ObjectOwnership: 'BucketOwnerEnforced' }] },
          BucketEncryption: {
            ServerSideEncryptionConfiguration: [{ ServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } }],
          },
          VersioningConfiguration: { Status: 'Enabled' },
        },
      });
    }
  });

  test('refuse plain HTTP and old TLS', () => {
    for (const [, policy] of resources(stack, 'AWS::S3::BucketPolicy')) {
      const denied = statements(policy).map(({ Effect, Action, Condition }) => ({ Effect, Action, Condition }));
      expect(denied).toEqual([
        { Effect: 'Deny', Action: 's3:*', Condition: { Bool: { 'aws:SecureTransport': 'false' } } },
        { Effect: 'Deny', Action: 's3:*', Condition: { NumericLessThan: { 's3:TlsVersion': 1.2 } } },
      ]);
    }
  });

  test('tell each queue of its own prefix, without a custom resource', () => {
    stack.resourceCountIs('Custom::S3BucketNotifications', 0);
    const queueOf = (job: string) =>
      resources(stack, 'AWS::SQS::Queue').find(([id]) => id.startsWith(`Rekey${job}Queue`))![0];
    const entry = (job: string) => ({
      Event: 's3:ObjectCreated:*',
      Queue: { 'Fn::GetAtt': [queueOf(job), 'Arn'] },
      Filter: { S3Key: { Rules: [{ Name: 'prefix', Value: `${job}/` }] } },
    });
    stack.hasResourceProperties('AWS::S3::Bucket', {
      BucketName: 'acme-landing',
      NotificationConfiguration: { QueueConfigurations: [entry('anpr'), entry('orders')] },
    });
    stack.hasResourceProperties('AWS::S3::Bucket', {
      BucketName: 'acme-lake',
      NotificationConfiguration: Match.absent(),
    });
  });

  test('are made after the policies that let them send', () => {
    const [, landing] = resources(stack, 'AWS::S3::Bucket').find(
      ([, { Properties }]) => Properties['BucketName'] === 'acme-landing',
    )!;
    const feeding = resources(stack, 'AWS::SQS::QueuePolicy').filter(isTold);
    expect(landing.DependsOn).toEqual(expect.arrayContaining(feeding.map(([id]) => id)));
  });

  test('are watched as a whole where the source is a bucket', () => {
    const whole = template(TWO_JOBS.replaceAll(/s3:\/\/acme-landing\/(\w+)\//g, 's3://landing-$1/'));
    whole.hasResourceProperties('AWS::S3::Bucket', {
      BucketName: 'landing-anpr',
      NotificationConfiguration: { QueueConfigurations: [{ Event: 's3:ObjectCreated:*', Filter: Match.absent() }] },
    });
  });
});

describe('a bucket that exists already', () => {
  test('is left as it is, except for its notifications', () => {
    const of = template(undefined, { 'create-buckets': ' acme-lake ,' });
    expect(resources(of, 'AWS::S3::Bucket').map(([, { Properties }]) => Properties['BucketName'])).toEqual(['acme-lake']);
    const [[, notifications], ...others] = resources(of, 'Custom::S3BucketNotifications') as [[string, Resource]];
    expect(others).toEqual([]);
    expect(notifications.Properties).toMatchObject({
      BucketName: 'acme-landing',
      // CDK's handler then keeps the notifications that are not of this stack.
      Managed: false,
      NotificationConfiguration: {
        QueueConfigurations: ['anpr/', 'orders/'].map((prefix) => ({
          Events: ['s3:ObjectCreated:*'],
          Filter: { Key: { FilterRules: [{ Name: 'prefix', Value: prefix }] } },
        })),
      },
    });
    const feeding = resources(of, 'AWS::SQS::QueuePolicy').filter(isTold);
    expect(notifications.DependsOn).toEqual(expect.arrayContaining(feeding.map(([id]) => id)));
  });
});

describe('a bucket of another account', () => {
  const context = { 'create-buckets': 'acme-lake', 'bucket-owners': 'acme-landing=444455556666' };
  const of = template(undefined, context);

  test('may tell the queues, and is not touched', () => {
    of.resourceCountIs('Custom::S3BucketNotifications', 0);
    const senders = resources(of, 'AWS::SQS::QueuePolicy').flatMap(([, policy]) =>
      statements(policy)
        .filter(({ Effect }) => Effect === 'Allow')
        .map(({ Condition }) => (Condition as any)['StringEquals']),
    );
    expect(senders).toEqual(Array(2).fill({ 'aws:SourceAccount': '444455556666' }));
  });

  test('gets its notifications from its owner, who is told what to add', () => {
    for (const job of ['anpr', 'orders']) {
      const [[, { Value }], ...others] = Object.entries(of.findOutputs('*')).filter(([id]) => id.startsWith(`Rekey${job}QueueNotification`)) as [[string, any]];
      expect(others).toEqual([]);
      const [queue] = resources(of, 'AWS::SQS::Queue').find(([id]) => id.startsWith(`Rekey${job}Queue`))!;
      expect(JSON.parse(flat(Value))).toEqual({
        QueueArn: `<${queue}.Arn>`,
        Events: ['s3:ObjectCreated:*'],
        Filter: { Key: { FilterRules: [{ Name: 'prefix', Value: `${job}/` }] } },
      });
    }
    const warned = Annotations.fromStack(build(undefined, context).stack).findWarning('*', Match.stringLikeRegexp('belongs to another account'));
    expect(warned).toHaveLength(2);
  });
});

describe('quotas', () => {
  const jobs = (count: number) =>
    Array.from({ length: count }, (_, n) => TWO_JOBS.split('[[rekey]]')[1]!.replaceAll('anpr', `anpr-${n}`))
      .map((job) => `[[rekey]]${job}`)
      .join('\n');
  const synth = (count: number) => () => build(jobs(count)).app.synth();

  test('of an environment are said at synth', () => {
    expect(synth(30)).toThrow(/function rekey: its environment has about 4\d\d\d bytes of at most 4096.*\(-c name-prefix\)/);
  });

  test('of resources are said at synth', () => {
    expect(synth(20)).toThrow(/Number of resources in stack 'Lakewright': 5\d\d is greater than allowed maximum of 500/);
  });
});

describe('buckets', () => {
  test('are created only where they are named', () => {
    const created = (context: Context) =>
      Object.values(template(undefined, context).findResources('AWS::S3::Bucket')).map(({ Properties }) => Properties['BucketName']);
    expect(created({ 'create-buckets': undefined })).toEqual([]);
    expect(created({ 'create-buckets': 'acme-landing' })).toEqual(['acme-landing']);
    expect(created({ 'create-buckets': '*' }).sort()).toEqual(['acme-lake', 'acme-landing']);
  });
});

describe('a job that is removed leaves no notification behind', () => {
  // What is left of the jobs reads another bucket.
  const OTHER = TWO_JOBS.replaceAll('acme-landing', 'acme-other');
  const notified = (of: Template) =>
    Object.fromEntries(
      resources(of, 'AWS::S3::Bucket').map(([, { Properties }]) => [Properties['BucketName'], Properties['NotificationConfiguration']?.QueueConfigurations.length ?? 0]),
    );

  test('on a bucket that is created, while `create-buckets` names it', () => {
    const context = { 'create-buckets': 'acme-landing,acme-lake' };
    expect(notified(template(TWO_JOBS, context))).toEqual({ 'acme-landing': 2, 'acme-lake': 0 });
    expect(notified(template(OTHER, context))).toEqual({ 'acme-landing': 0, 'acme-lake': 0 });
    const warned = Annotations.fromStack(build(OTHER, context).stack).findWarning('*', Match.stringLikeRegexp('no job .* bucket acme-landing'));
    expect(warned).toHaveLength(1);
  });

  test("on a bucket that exists: CDK's handler takes what it added out, and nothing of others", () => {
    const before = template(TWO_JOBS, { 'create-buckets': '' });
    const buckets = (of: Template) => resources(of, 'Custom::S3BucketNotifications').map(([, { Properties }]) => Properties['BucketName']);
    expect(buckets(before)).toEqual(['acme-landing']);
    expect(buckets(template(OTHER, { 'create-buckets': '' }))).toEqual(['acme-other']);
    const [[, custom]] = resources(before, 'Custom::S3BucketNotifications') as [[string, Resource]];
    const handler = resources(before, 'AWS::Lambda::Function').find(([id]) => id.startsWith('BucketNotificationsHandler'))![1];
    // CloudFormation passes texts.
    const ours = { ...custom.Properties, Managed: 'false', SkipDestinationValidation: 'false' };
    const theirs = { QueueConfigurations: [{ Id: 'theirs', QueueArn: 'arn:aws:sqs:eu-west-1:111122223333:theirs', Events: ['s3:ObjectCreated:*'] }] };
    // The handler itself, on a bucket that is kept in memory.
    const program = `
import json, sys, types
given = json.load(sys.stdin)
held, seen = given["theirs"], []
class S3:
    def get_bucket_notification_configuration(self, Bucket): return json.loads(json.dumps(held))
    def put_bucket_notification_configuration(self, Bucket, NotificationConfiguration, **rest):
        global held
        held = NotificationConfiguration
sys.modules["boto3"] = types.SimpleNamespace(client=lambda name: S3())
import urllib.request
urllib.request.urlopen = lambda request: types.SimpleNamespace(__enter__=None, status=200, reason="")
said = {}
exec(given["code"], said)
said["submit_response"] = lambda event, context, status, reason: seen.append(status)
for kind in ("Create", "Delete"):
    event = {"RequestType": kind, "StackId": "stack", "LogicalResourceId": "N", "RequestId": kind, "ResponseURL": "", "ResourceProperties": given["ours"]}
    said["handler"](event, types.SimpleNamespace(log_stream_name="log"))
    seen.append(len(held.get("QueueConfigurations", [])))
print(json.dumps([seen, held]))
`;
    const code = handler.Properties['Code'].ZipFile;
    const said = spawnSync('python3', ['-c', program], { input: JSON.stringify({ code, ours, theirs }), encoding: 'utf8' });
    expect(said.stderr).toBe('');
    const [seen, held] = JSON.parse(said.stdout.trim().split('\n').at(-1)!);
    expect(seen).toEqual(['SUCCESS', 3, 'SUCCESS', 1]);
    expect(held.QueueConfigurations).toEqual(theirs.QueueConfigurations);
  });
});

describe('what lands is told', () => {
  const TOPIC = 'arn:aws:sns:eu-west-1:123456789012:landed';
  const queuesOf = (of: Template) => ['anpr', 'orders'].map((job) => resources(of, 'AWS::SQS::Queue').find(([id]) => id.startsWith(`Rekey${job}Queue`))![0]);
  const senders = (of: Template) =>
    resources(of, 'AWS::SQS::QueuePolicy').flatMap(([, policy]) =>
      statements(policy).flatMap(({ Effect, Principal, Action }) => (Effect === 'Allow' ? [`${Principal!['Service']} ${Action}`] : [])),
    );
  const counts = (of: Template) => [
    of.findResources('Custom::S3BucketNotifications'),
    of.findResources('AWS::Events::Rule'),
    of.findResources('AWS::SNS::Subscription'),
  ].map((found) => Object.keys(found).length);

  test('by EventBridge, which touches no notifications of a bucket', () => {
    const context = { notifications: 'eventbridge', 'create-buckets': '' };
    const of = template(undefined, context);
    expect(counts(of)).toEqual([0, 2, 0]);
    const rules = resources(of, 'AWS::Events::Rule').map(([, { Properties }]) => Properties);
    queuesOf(of).forEach((queue, index) => {
      const job = ['anpr', 'orders'][index];
      expect(rules).toContainEqual(
        expect.objectContaining({
          EventPattern: {
            source: ['aws.s3'],
            'detail-type': ['Object Created'],
            detail: { bucket: { name: ['acme-landing'] }, object: { key: [{ prefix: `${job}/` }] } },
          },
          State: 'ENABLED',
          Targets: [expect.objectContaining({ Arn: { 'Fn::GetAtt': [queue, 'Arn'] } })],
        }),
      );
    });
    expect(senders(of).filter((sender) => sender.includes('SendMessage'))).toEqual(Array(2).fill('events.amazonaws.com sqs:GetQueueAttributes,sqs:GetQueueUrl,sqs:SendMessage'));
    const warned = Annotations.fromStack(build(undefined, context).stack).findWarning('*', Match.stringLikeRegexp('turn on its EventBridge'));
    expect(warned.length).toBeGreaterThan(0);
    const created = template(undefined, { notifications: 'eventbridge' });
    expect(counts(created)).toEqual([0, 2, 0]);
    created.hasResourceProperties('AWS::S3::Bucket', {
      BucketName: 'acme-landing',
      NotificationConfiguration: { EventBridgeConfiguration: { EventBridgeEnabled: true } },
    });
  });

  test('by a topic, filtered where keys are told as they are', () => {
    const of = template(undefined, { notifications: `acme-landing=${TOPIC}`, 'create-buckets': 'acme-lake' });
    expect(counts(of)).toEqual([0, 0, 2]);
    const subscriptions = resources(of, 'AWS::SNS::Subscription').map(([, { Properties }]) => Properties);
    queuesOf(of).forEach((queue, index) => {
      expect(subscriptions).toContainEqual({
        Protocol: 'sqs',
        Region: 'eu-west-1',
        TopicArn: TOPIC,
        Endpoint: { 'Fn::GetAtt': [queue, 'Arn'] },
        RawMessageDelivery: true,
        FilterPolicyScope: 'MessageBody',
        FilterPolicy: { Records: { s3: { object: { key: [{ prefix: `${['anpr', 'orders'][index]}/` }] } } } },
      });
    });
    expect(senders(of)).toContain('sns.amazonaws.com sqs:SendMessage');
    const encoded = template(TWO_JOBS.replace('acme-landing/anpr/', "acme-landing/anpr's/"), { notifications: TOPIC });
    const unfiltered = resources(encoded, 'AWS::SNS::Subscription').filter(([, { Properties }]) => Properties['FilterPolicy'] === undefined);
    expect(unfiltered).toHaveLength(1);
  });

  test('not at all, where somebody else sends the messages', () => {
    const of = template(undefined, { notifications: 'none', 'create-buckets': '' });
    expect(counts(of)).toEqual([0, 0, 0]);
    expect(senders(of)).toEqual([]);
    expect(queuesOf(of)).toHaveLength(2);
  });
});

describe('monitoring', () => {
  const alarms = (of: Template) =>
    resources(of, 'AWS::CloudWatch::Alarm').map(([, { Properties }]) => Properties);

  const thresholds = (of: Template) => alarms(of).filter(({ Metrics }) => !Metrics);

  test('raises an alarm for what needs a person', () => {
    const raised = thresholds(stack).map(({ Namespace, MetricName, Threshold, Dimensions }) =>
      [Namespace, MetricName, Threshold, ...Dimensions.map((d: any) => flat(d.Value).replace(/[0-9A-F]{8}(\..*)?>$/, '>'))].join(' '),
    );
    expect(raised.sort()).toEqual([
      'AWS/Lambda Errors 1 <RekeyFunction>',
      'AWS/Lambda Throttles 1 <RekeyFunction>',
      ...['anpr', 'orders'].map((job) => `AWS/SQS ApproximateAgeOfOldestMessage 1860 <Rekey${job}Queue>`),
      ...['anpr', 'orders'].map((job) => `AWS/SQS ApproximateAgeOfOldestMessage 604800 <Rekey${job}BackfillQueue>`),
      ...['anpr', 'orders'].map((job) => `AWS/SQS ApproximateNumberOfMessagesVisible 1 <Rekey${job}DeadLetterQueue>`),
      ...['ExecutionsFailed', 'ExecutionsTimedOut'].flatMap((metric) =>
        ['anpr', 'orders'].map((job) => `AWS/States ${metric} 1 <Rekey${job}SweepStateMachine>`),
      ),
      ...['RowsQuarantined', 'SweepFound'].flatMap((metric) => ['anpr', 'orders'].map((job) => `Lakewright ${metric} 1 ${job}`)),
    ]);
    for (const alarm of thresholds(stack)) {
      expect(alarm).toMatchObject({
        EvaluationPeriods: 1,
        ComparisonOperator: 'GreaterThanOrEqualToThreshold',
        TreatMissingData: 'notBreaching',
      });
      expect(alarm['AlarmActions']).toBeUndefined();
    }
  });

  test('raises an alarm when less lands than usual, once there is a history', () => {
    const lullsOf = (of: Template) => alarms(of).filter(({ ThresholdMetricId }) => ThresholdMetricId);
    const lulls = lullsOf(stack);
    expect(lulls).toHaveLength(2);
    expect(lullsOf(template(undefined, { 'lull-alarm': 'false' }))).toEqual([]);
    for (const { Metrics, ...lull } of lulls) {
      expect(lull).toMatchObject({ ComparisonOperator: 'LessThanLowerThreshold', EvaluationPeriods: 3, TreatMissingData: 'notBreaching' });
      const [band, told] = ['Expression', 'MetricStat'].map((key) => Metrics.find((metric: any) => metric[key]));
      expect(band).toMatchObject({ Id: lull['ThresholdMetricId'], Expression: `ANOMALY_DETECTION_BAND(${told.Id}, 3)` });
      expect(told.MetricStat).toMatchObject({ Metric: { MetricName: 'NumberOfMessagesSent' }, Period: 3_600, Stat: 'Sum' });
      expect(flat(told.MetricStat.Metric.Dimensions[0].Value)).toMatch(/^<Rekey(anpr|orders)Queue\w+\.QueueName>$/);
    }
  });

  test('raises an alarm when what lands is committed late, unless it is a backfill', () => {
    const late = alarms(stack).filter(({ Metrics, ThresholdMetricId }) => Metrics && !ThresholdMetricId);
    expect(late).toHaveLength(2);
    expect(alarms(template(undefined, { 'late-alarm': 'false', 'lull-alarm': 'false' })).filter(({ Metrics }) => Metrics)).toEqual([]);
    for (const { Metrics, Threshold, ComparisonOperator, TreatMissingData } of late) {
      expect([Threshold, ComparisonOperator, TreatMissingData]).toEqual([1_860, 'GreaterThanOrEqualToThreshold', 'notBreaching']);
      const [{ Expression }, ...told] = Metrics;
      expect(Expression).toBe('IF(FILL(w0, 0) + FILL(w1, 0) > 0, 0, m)');
      const metrics = told.map(({ Id, MetricStat: { Metric, Period, Stat } }: any) =>
        [Id, Metric.MetricName, flat(Metric.Dimensions[0].Value).replace(/[0-9A-F]{8}(\..*)?>$/, '>'), Period, Stat].join(' '),
      );
      const [, job] = /LandingToCommitSeconds (\w+)/.exec(metrics.join())!;
      expect(metrics).toEqual([
        `m LandingToCommitSeconds ${job} 3600 p90`,
        `w0 ApproximateNumberOfMessagesVisible <Rekey${job}BackfillQueue> 3600 Maximum`,
        `w1 ApproximateNumberOfMessagesNotVisible <Rekey${job}BackfillQueue> 3600 Maximum`,
      ]);
    }
  });

  test('tells the topic of every alarm, and when it is over', () => {
    const topic = 'arn:aws:sns:eu-west-1:123456789012:on-call';
    for (const alarm of alarms(template(undefined, { 'alarm-topic': topic }))) {
      expect(alarm['AlarmActions']).toEqual([topic]);
      expect(alarm['OKActions']).toEqual([topic]);
    }
  });

  test('warns where no topic is named', () => {
    const warnings = (context: Context) => Annotations.fromStack(build(undefined, context).stack).findWarning('*', Match.stringLikeRegexp('alarms notify nobody'));
    expect(warnings({})).toHaveLength(1);
    expect(warnings({ 'alarm-topic': 'arn:aws:sns:eu-west-1:123456789012:on-call' })).toEqual([]);
  });

  test('links each alarm to its section of docs/OPERATIONS.md', () => {
    const document = readFileSync(new URL('../../docs/OPERATIONS.md', import.meta.url), 'utf8');
    const sections = [...document.matchAll(/^## (.+)$/gm)].map(([, title]) => title!.toLowerCase().replaceAll(' ', '-'));
    const all = [TWO_COMPACTIONS, TWO_SPLITS, TWO_REPARTITIONS].join('\n');
    const url = 'https://wiki.acme.org/lakewright/operations';
    for (const { AlarmDescription } of alarms(template(all, { 'operations-url': url }))) {
      const [, page, section] = /\. See (\S+)#(\S+)$/.exec(AlarmDescription) ?? [];
      expect(page, AlarmDescription).toBe(url);
      expect(sections, AlarmDescription).toContain(section);
    }
    expect(() => template(all, { 'operations-url': 'docs/OPERATIONS.md' })).toThrow('not the URL of a page');
  });

  test.each([
    ['https://github.com/acme/lakewright.git', 'https://github.com/acme/lakewright/blob/HEAD/docs/OPERATIONS.md'],
    ['https://ada:secret@github.acme.com/lake/lakewright', 'https://github.acme.com/lake/lakewright/blob/HEAD/docs/OPERATIONS.md'],
    ['git@github.com:acme/lakewright.git', 'https://github.com/acme/lakewright/blob/HEAD/docs/OPERATIONS.md'],
    ['ssh://git@gitlab.acme.org:2222/data/lake/lakewright.git', 'https://gitlab.acme.org/data/lake/lakewright/-/blob/HEAD/docs/OPERATIONS.md'],
    ['https://git.acme.org/lakewright.git', undefined],
    ['/home/ada/github.com/lakewright', undefined],
    ['../lakewright.git', undefined],
  ])('knows the page of a file where %s shows it', (remote, page) => {
    expect(pageOf(remote, 'docs/OPERATIONS.md')).toBe(page);
  });

  test('shows every job on one dashboard', () => {
    const [[, { Properties }], ...others] = resources(stack, 'AWS::CloudWatch::Dashboard') as [[string, Resource]];
    expect(others).toEqual([]);
    const body = JSON.parse(flat(Properties['DashboardBody']));
    expect(body.widgets.map((widget: any) => widget.properties.title)).toEqual([
      'rekey: invocations',
      'rekey: duration',
      ...['anpr', 'orders'].flatMap((job) => [
        `${job}: rows`,
        `${job}: messages`,
        `${job}: age of the oldest message`,
        `${job}: landed, and found by a sweep`,
        `${job}: seconds from landing to commit`,
        `${job}: lateness of records`,
      ]),
    ]);
  });
});

describe('what expires', () => {
  interface Rule {
    Prefix?: string;
    ExpirationInDays?: number;
    NoncurrentVersionExpiration?: { NoncurrentDays: number };
  }
  const expiring = (context: Context) => {
    const [, { Properties }] = resources(template(undefined, context), 'AWS::S3::Bucket').find(
      ([, { Properties }]) => Properties['BucketName'] === 'acme-lake',
    )!;
    return (Properties['LifecycleConfiguration'].Rules as Rule[])
      .filter((rule) => rule.ExpirationInDays)
      .map((rule) => [rule.Prefix, rule.ExpirationInDays, rule.NoncurrentVersionExpiration?.NoncurrentDays]);
  };

  test('are spooled rows, and quarantined records where a time is said', () => {
    const spool = (days: number) => ['anpr', 'orders'].map((job) => [`${job}/_lakewright/spool/`, days, 1]);
    const quarantine = ['anpr', 'orders'].map((job) => [`${job}/_lakewright/quarantine/`, 90, 1]);
    expect(expiring({})).toEqual(spool(1));
    expect(expiring({ 'quarantine-expiry': 'never' })).toEqual(spool(1));
    expect(expiring({ 'spool-expiry': '3', 'quarantine-expiry': 90 }).sort()).toEqual([...spool(3), ...quarantine].sort());
  });

  test('is said of a bucket that exists already, whose rules are its own', () => {
    const { stack } = build(undefined, { 'create-buckets': 'acme-landing', 'quarantine-expiry': 90 });
    const of = Template.fromStack(stack);
    const rules: any[] = JSON.parse(of.findOutputs('LifecycleRulesacmelake')['LifecycleRulesacmelake']!['Value']);
    expect(rules.map(({ Filter, Expiration }) => [Filter.Prefix, Expiration.Days])).toEqual(
      ['anpr', 'orders'].flatMap((job) => [
        [`${job}/_lakewright/spool/`, 1],
        [`${job}/_lakewright/quarantine/`, 90],
      ]),
    );
    const [warning] = Annotations.fromStack(stack).findWarning('*', Match.stringLikeRegexp('lifecycle'));
    expect(warning?.entry.data).toMatch(/acme-lake exists already .* anpr\/_lakewright\/spool\/ after 1 days/);
  });
});

test('noncurrent versions of files that were merged are kept for a day', () => {
  const prefixes = ['anpr/', 'anpr.generations/', 'archive/'];
  const [, { Properties }] = resources(template(TWO_COMPACTIONS), 'AWS::S3::Bucket').find(
    ([, { Properties }]) => Properties['BucketName'] === 'acme-lake',
  )!;
  const kept = Properties['LifecycleConfiguration'].Rules.filter(({ Prefix, ExpirationInDays }: any) => Prefix && !ExpirationInDays);
  expect(kept.map(({ Prefix, NoncurrentVersionExpiration }: any) => [Prefix, NoncurrentVersionExpiration.NoncurrentDays])).toEqual(
    prefixes.map((prefix) => [prefix, 1]),
  );
  const { stack } = build(TWO_COMPACTIONS, { 'create-buckets': '' });
  const said = JSON.parse(Template.fromStack(stack).findOutputs('LifecycleRulesacmelake')['LifecycleRulesacmelake']!['Value']);
  const rules = said.filter(({ Expiration }: any) => Expiration === undefined);
  expect(rules.map(({ Filter, NoncurrentVersionExpiration }: any) => [Filter.Prefix, NoncurrentVersionExpiration.NoncurrentDays])).toEqual(
    prefixes.map((prefix) => [prefix, 1]),
  );
  const warnings = Annotations.fromStack(stack).findWarning('*', Match.stringLikeRegexp('lifecycle'));
  expect(warnings.map(({ entry }) => entry.data).join()).toMatch(/noncurrent versions of anpr\.generations\/ after a day/);
});

test('the outputs name what a person or a script looks for', () => {
  expect(Object.keys(stack.findOutputs('*')).sort()).toEqual(
    [
      'RekeyFunctionName',
      'RekeyRoleArn',
      ...['anpr', 'orders'].flatMap((job) =>
        ['QueueUrl', 'BackfillQueueUrl', 'DeadLetterQueueUrl', 'SourceBucket', 'TargetBucket', 'SweepStateMachineArn', 'SweepRoleArn'].map((output) => `Rekey${job}${output}`),
      ),
    ].sort(),
  );
});
