/** What AWS would refuse or mislead: whose buckets, whose roles, what is listed, what is logged. */
import { readFileSync } from 'node:fs';
import type { Template } from 'aws-cdk-lib/assertions';
import { describe, expect, test } from 'vitest';
import { permissions } from './permissions.ts';
import { build, definitionsOf, resources, template, TWO_COMPACTIONS, TWO_JOBS, TWO_REPARTITIONS, TWO_SPLITS, type Context } from './support.ts';

const OWN = '111122223333';

const stacks: [string, string, Context][] = [
  ['rekey and split', `${TWO_JOBS}\n${TWO_SPLITS}`, {}],
  ['compact', TWO_COMPACTIONS, {}],
  ['repartition', TWO_REPARTITIONS, {}],
];

describe.each(stacks)('%s', (_, toml, context) => {
  const of = template(toml, context);
  const allowed = permissions(of).filter(({ effect, roles }) => effect === 'Allow' && roles.length > 0);
  const ofBuckets = allowed.filter(({ actions }) => actions.some((action) => action.startsWith('s3:')));

  test("no role touches a bucket of another account, should one take its bucket's name", () => {
    expect(ofBuckets.length).toBeGreaterThan(0);
    for (const statement of ofBuckets) {
      expect(statement.conditions['StringEquals'], JSON.stringify(statement)).toMatchObject({ 's3:ResourceAccount': OWN });
    }
  });

  test('a listing that names a prefix names one of ours, unless a job may read anywhere', () => {
    const lists = ofBuckets.filter(({ actions, resources }) => actions.includes('s3:ListBucket') && !resources.includes('arn:aws:s3:::*'));
    expect(lists.length).toBeGreaterThan(0);
    for (const statement of lists) {
      expect(Object.keys(statement.conditions['StringLikeIfExists'] ?? {}), JSON.stringify(statement)).toEqual(['s3:prefix']);
    }
  });

  test('services take roles for this account alone', () => {
    for (const [id, { Properties }] of resources(of, 'AWS::IAM::Role')) {
      for (const { Condition } of Properties['AssumeRolePolicyDocument'].Statement) {
        expect(Condition?.StringEquals?.['aws:SourceAccount'], id).toEqual({ Ref: 'AWS::AccountId' });
      }
    }
  });

  test('the logs of state machines hold no data, unless the context says so', () => {
    const said = (of: ReturnType<typeof template>) =>
      resources(of, 'AWS::StepFunctions::StateMachine').map(([, { Properties }]) => Properties['LoggingConfiguration'].IncludeExecutionData);
    expect(new Set(said(of))).toEqual(new Set([false]));
    expect(new Set(said(template(toml, { ...context, 'log-execution-data': 'true' })))).toEqual(new Set([true]));
  });
});

test("README's example of owners and keys has the owner and every key", () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const command = readme.split('```').find((block) => block.includes('-c kms-keys=')) ?? '';
  const { config, ...context } = Object.fromEntries([...command.matchAll(/-c ([a-z-]+)=(\S+)/g)].map(([, key, value]) => [key, value]));
  expect(config).toBe('../lakewright.toml');
  const deployed = JSON.stringify(template(TWO_JOBS, context).toJSON());
  for (const named of ['444455556666', 'key/1b2c3d4e-0000-4000-8000-1234567890ab', 'alias/lake', 'alias/queues']) {
    expect(deployed).toContain(named);
  }
});

test('a bucket of another account is named with its owner', () => {
  const of = template(TWO_JOBS, { 'create-buckets': 'acme-lake', 'bucket-owners': 'acme-landing=444455556666' });
  const accounts = (bucket: string) =>
    permissions(of)
      // CDK's own handler of notifications aside, whose statements are CDK's.
      .filter(({ actions }) => !actions.some((action) => action.endsWith('BucketNotification')))
      .filter(({ resources, roles }) => roles.length > 0 && resources.some((resource) => resource.startsWith(`arn:aws:s3:::${bucket}`)))
      .map(({ conditions }) => conditions['StringEquals']?.['s3:ResourceAccount']);
  expect(new Set(accounts('acme-landing'))).toEqual(new Set(['444455556666']));
  expect(new Set(accounts('acme-lake'))).toEqual(new Set([OWN]));
});

describe('customer managed keys', () => {
  const KEY = 'arn:aws:kms:eu-central-1:111122223333:key/11112222-3333-4444-5555-666677778888';
  const everything = [TWO_COMPACTIONS, TWO_SPLITS, TWO_REPARTITIONS.replaceAll('acme-lake/', 'acme-rewritten/')].join('\n');

  /** What each role may do with the key, by the role's logical id without its hash. */
  const uses = (of: Template, resource = KEY): Record<string, string[]> => {
    const found = permissions(of).filter(({ resources }) => resources.includes(resource));
    const roles = [...new Set(found.flatMap(({ roles }) => roles))].sort();
    return Object.fromEntries(
      roles.map((role) => [
        role.replace(/[0-9A-F]{8}$/, ''),
        [...new Set(found.filter(({ roles }) => roles.includes(role)).flatMap(({ actions }) => actions))].sort(),
      ]),
    );
  };
  const [read, write, update] = [['kms:Decrypt'], ['kms:Decrypt', 'kms:GenerateDataKey'], ['kms:Decrypt', 'kms:Encrypt', 'kms:GenerateDataKey']];

  test.each<[string, Context, Record<string, string[]>]>([
    ['of the bucket where data land', { 'kms-keys': `acme-landing=${KEY}` }, { RekeyRole: read, RepartitionPlanRole: read, RepartitionWriteRole: read, ...anywhere(read) }],
    ['of the bucket of results', { 'kms-keys': `acme-results=${KEY}` }, { SplitPlanRole: read, SplitRowsRole: read, SplituserinfoMachineRole: write, ...anywhere(read) }],
    ['of the bucket of objects', { 'kms-keys': `acme-objects=${KEY}` }, { SplitPlanRole: write, SplitRowsRole: write, ...anywhere(read, write) }],
    ['of the lake', { 'kms-keys': `acme-lake=${KEY}` }, {
      RekeyRole: write,
      CompactPlanRole: write, CompactMergeRole: write, CompactPublishRole: write,
      CompactanprbyeventtimeMachineRole: write, CompactarchiveMachineRole: write,
      ...anywhere(read),
    }],
    ['of what is rewritten', { 'kms-keys': `acme-rewritten=${KEY}` }, {
      RepartitionPlanRole: write, RepartitionWriteRole: write, RepartitionCommitRole: write,
      RepartitionevMachineRole: read, RepartitionproductsMachineRole: read,
      ...anywhere(read), RepartitionPlanAnywhereRole: write, RepartitionWriteAnywhereRole: write, RepartitionCommitAnywhereRole: write,
    }],
    ['of the queues', { 'queue-key': KEY }, { RekeyRole: write, SplitPlanRole: write, SplitRowsRole: read, SplitPlanAnywhereRole: write, SplitRowsAnywhereRole: read }],
    ['of the catalog', { 'catalog-key': KEY }, {
      RekeyRole: update, CompactPlanRole: read, CompactPublishRole: update,
      RepartitionPlanRole: update, RepartitionCommitRole: update, RepartitionPlanAnywhereRole: read,
    }],
    ['of the assets', { 'assets-key': KEY }, Object.fromEntries(
      ['RekeyRole', 'CompactPlanRole', 'CompactMergeRole', 'CompactPublishRole',
        ...['', 'Anywhere'].flatMap((reach) => [`SplitPlan${reach}Role`, `SplitRows${reach}Role`]),
        ...['', 'Anywhere'].flatMap((reach) => ['Plan', 'Write', 'Commit'].map((name) => `Repartition${name}${reach}Role`)),
      ].map((role) => [role, read]),
    )],
  ])('%s may be used by whatever reads or writes there, and by nothing else', (_, context, expected) => {
    expect(uses(template(everything, context))).toEqual(expected);
  });

  /** What a job that may read any bucket is granted with the keys of all of them. */
  function anywhere(ofReaders: string[], ofSplit = ofReaders): Record<string, string[]> {
    return {
      ...{ SplitPlanAnywhereRole: ofSplit, SplitRowsAnywhereRole: ofSplit },
      ...{ RepartitionPlanAnywhereRole: ofReaders, RepartitionWriteAnywhereRole: ofReaders },
    };
  }

  test('are found by their alias', () => {
    const of = template(everything, { 'kms-keys': 'acme-landing=alias/lake' });
    const found = permissions(of).filter(({ conditions }) => conditions['ForAnyValue:StringEquals']?.['kms:ResourceAliases'] === 'alias/lake');
    expect(new Set(found.flatMap(({ resources }) => resources))).toEqual(new Set(['arn:aws:kms:eu-central-1:111122223333:key/*']));
  });

  test('of what one job wrote may be used by the jobs that read it', () => {
    const of = template(TWO_COMPACTIONS.replace('[[rekey]]', `[[rekey]]\nencryption = { algorithm = "aws:kms", key = "${KEY}" }`));
    expect(uses(of)).toEqual({ RekeyRole: write, CompactPlanRole: read, CompactMergeRole: read, CompactPublishRole: read });
  });

  test('encrypt the queues where the context says so', () => {
    for (const [, { Properties }] of resources(template(everything, { 'queue-key': KEY }), 'AWS::SQS::Queue')) {
      expect(Properties).toMatchObject({ KmsMasterKeyId: KEY });
      expect(Properties['SqsManagedSseEnabled']).toBeUndefined();
    }
  });

  test.each([
    ['rekey', TWO_JOBS, ['Rekey']],
    ['split', TWO_SPLITS.replace(/^encryption.*$/m, ''), ['SplitPlan', 'SplitRows']],
    ['compact', TWO_COMPACTIONS, ['CompactPlan', 'CompactMerge', 'CompactPublish', 'MachineRole']],
    ['repartition', TWO_REPARTITIONS, ['RepartitionPlan', 'RepartitionWrite', 'RepartitionCommit', 'MachineRole']],
  ])("of a job's objects may be used by whatever writes or reads them: %s", (kind, toml, users) => {
    const [first] = toml.split(`[[${kind}]]`).slice(-1);
    const encrypted = toml.replace(`[[${kind}]]${first}`, `[[${kind}]]\nencryption = { algorithm = "aws:kms", key = "${KEY}" }${first}`);
    const roles = permissions(template(encrypted)).filter(({ resources }) => resources.includes(KEY)).flatMap(({ roles }) => roles);
    for (const user of users) {
      expect(roles.some((role) => role.includes(user)), `${user} among ${roles}`).toBe(true);
    }
    expect(permissions(template(toml)).filter(({ resources }) => resources.includes(KEY))).toEqual([]);
  });

  test.each([
    ['rekey', TWO_JOBS, 'Rekey'],
    ['compact', TWO_COMPACTIONS, 'CompactMerge'],
    ['repartition', TWO_REPARTITIONS, 'RepartitionWrite'],
  ])("a job's tags may go up with its objects: %s", (kind, toml, user) => {
    const tagged = toml.replaceAll(`[[${kind}]]`, `[[${kind}]]\ntags = { team = "lake" }`);
    const may = (of: string, action: string) =>
      new Set(
        permissions(template(of))
          .filter(({ roles, actions }) => roles.some((role) => role.startsWith(user)) && actions.includes(action))
          .flatMap(({ resources }) => resources),
      );
    expect(may(toml, 's3:PutObjectTagging').size).toBe(0);
    expect(may(tagged, 's3:PutObjectTagging')).toEqual(may(tagged, 's3:PutObject'));
  });

  test.each<[Context, RegExp]>([
    [{ 'kms-keys': 'alias/lake' }, /kms-keys: "alias\/lake" is not of the form bucket=key/],
    [{ 'kms-keys': 'acme-lake=lake' }, /kms-keys: "lake" is neither the ARN nor the id of a KMS key, nor an alias/],
    [{ 'catalog-key': 'lake' }, /catalog-key: "lake" is neither/],
    [{ 'queue-key': 'alias' }, /queue-key: "alias" is neither/],
    [{ 'bucket-owners': 'acme-landing' }, /bucket-owners: "acme-landing" is not of the form bucket=123456789012/],
    [{ 'log-execution-data': 'yes' }, /log-execution-data: "yes" is neither true nor false/],
  ])('what is no key, owner or flag is refused: %j', (context, says) => {
    expect(() => build(TWO_JOBS, context)).toThrow(says);
  });
});

test('jobs that may read any bucket widen no role of the others', () => {
  const of = template([TWO_SPLITS, TWO_REPARTITIONS].join('\n'));
  const wide = permissions(of).filter(({ resources }) => resources.includes('arn:aws:s3:::*')).flatMap(({ roles }) => roles);
  expect(wide.map((role) => role.replace(/[0-9A-F]{8}$/, '')).sort()).toEqual([
    ...['RepartitionPlanAnywhereRole', 'RepartitionWriteAnywhereRole'],
    ...['SplitPlanAnywhereRole', 'SplitRowsAnywhereRole'],
  ]);
  for (const role of wide) {
    const others = permissions(of).filter(({ roles, resources }) => roles.includes(role) && /user_info|products/.test(resources.join()));
    expect(others, role).toEqual([]);
  }
});

test('no state machine retries an error that cannot pass', () => {
  const passing = [
    ...['ClientExecutionTimeoutException', 'ServiceException', 'AWSLambdaException', 'SdkClientException', 'TooManyRequestsException'].map((error) => `Lambda.${error}`),
    ...['TooManyRequestsException', 'InternalServerException', 'SdkClientException'].map((error) => `Athena.${error}`),
    ...['StoreFailed', 'CatalogFailed', 'QueueFailed', 'AthenaFailed', 'CallbackFailed', 'SecretFailed', 'Deadline', 'TimeoutTooShort'].map((error) => `Lakewright.${error}`),
    ...['Sandbox.Timedout', 'States.Timeout', 'Sfn.SfnException', 'Sfn.SdkClientException', 'S3.S3Exception', 'S3.SdkClientException'],
  ];
  const retried = new Set<string>();
  JSON.stringify(
    definitionsOf(template([TWO_COMPACTIONS, TWO_SPLITS, TWO_REPARTITIONS].join('\n'))),
    (key, value) => {
      if (key === 'Retry') {
        value.flatMap(({ ErrorEquals }: { ErrorEquals: string[] }) => ErrorEquals).forEach((error: string) => retried.add(error));
      }
      return value;
    },
  );
  expect([...retried].sort()).toEqual(passing.sort());
});
