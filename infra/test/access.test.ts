/** What AWS would refuse or mislead: whose buckets, whose roles, what is listed, what is logged. */
import { describe, expect, test } from 'vitest';
import { permissions } from './permissions.ts';
import { build, resources, template, TWO_COMPACTIONS, TWO_JOBS, TWO_REPARTITIONS, TWO_SPLITS, type Context } from './support.ts';

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

test('a bucket of another account is named with its owner', () => {
  const of = template(TWO_JOBS, { 'existing-buckets': 'acme-landing', 'bucket-owners': 'acme-landing=444455556666' });
  const accounts = (bucket: string) =>
    permissions(of)
      // CDK's own handler of notifications aside, whose statements are CDK's.
      .filter(({ policy }) => !policy.startsWith('BucketNotificationsHandler'))
      .filter(({ resources, roles }) => roles.length > 0 && resources.some((resource) => resource.startsWith(`arn:aws:s3:::${bucket}`)))
      .map(({ conditions }) => conditions['StringEquals']?.['s3:ResourceAccount']);
  expect(new Set(accounts('acme-landing'))).toEqual(new Set(['444455556666']));
  expect(new Set(accounts('acme-lake'))).toEqual(new Set([OWN]));
});

describe('customer managed keys', () => {
  const KEY = 'arn:aws:kms:eu-central-1:111122223333:key/11112222-3333-4444-5555-666677778888';
  const everything = [TWO_COMPACTIONS, TWO_SPLITS, TWO_REPARTITIONS.replaceAll('acme-lake/', 'acme-rewritten/')].join('\n');

  test.each([
    ['kms-keys', KEY, KEY, {}],
    ['kms-keys', 'alias/lake', 'arn:aws:kms:eu-central-1:111122223333:key/*', { 'ForAnyValue:StringEquals': { 'kms:ResourceAliases': 'alias/lake' } }],
    ['queue-key', KEY, KEY, {}],
  ])('of the context may be used by every function and every state machine: %s=%s', (context, key, resource, conditions) => {
    const of = template(everything, { [context]: key });
    const may = permissions(of).filter(({ actions, resources }) => actions.includes('kms:Decrypt') && resources.includes(resource));
    const roles = new Set(may.filter((statement) => JSON.stringify(statement.conditions) === JSON.stringify(conditions)).flatMap(({ roles }) => roles));
    for (const type of ['AWS::Lambda::Function', 'AWS::StepFunctions::StateMachine']) {
      for (const [id, { Properties }] of resources(of, type)) {
        const role = (Properties['Role'] ?? Properties['RoleArn'])['Fn::GetAtt'][0];
        expect(roles.has(role), `${id} uses ${key}`).toBe(true);
      }
    }
    expect(new Set(may.flatMap(({ actions }) => actions))).toEqual(new Set(['kms:GenerateDataKey', 'kms:Decrypt']));
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
    [{ 'kms-keys': 'lake' }, /kms-keys: "lake" is neither the ARN nor the id of a KMS key, nor an alias/],
    [{ 'queue-key': 'alias' }, /queue-key: "alias" is neither/],
    [{ 'bucket-owners': 'acme-landing' }, /bucket-owners: "acme-landing" is not of the form bucket=123456789012/],
    [{ 'log-execution-data': 'yes' }, /log-execution-data: "yes" is neither true nor false/],
  ])('what is no key, owner or flag is refused: %j', (context, says) => {
    expect(() => build(TWO_JOBS, context)).toThrow(says);
  });
});
