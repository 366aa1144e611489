/**
 * AWS's service authorization reference says which actions there are, which resources each has and which conditions it
 * knows. A statement that says otherwise deploys, and denies everything at run time.
 */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { permissions, type Permission } from './permissions.ts';
import { template, TWO_COMPACTIONS, TWO_JOBS, TWO_REPARTITIONS, TWO_SPLITS, type Context } from './support.ts';

interface Action {
  readonly resources?: readonly string[];
  readonly required?: readonly string[];
  readonly conditions?: readonly string[];
}

interface Service {
  readonly resources: Record<string, { readonly arn: string; readonly conditions: readonly string[] }>;
  readonly actions: Record<string, Action>;
}

const reference: Record<string, Service> = JSON.parse(
  readFileSync(new URL('authorization.json', import.meta.url), 'utf8'),
);

/** Keys that every request has. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html */
const GLOBAL_KEYS = ['aws:PrincipalAccount', 'aws:SecureTransport', 'aws:SourceAccount', 'aws:SourceArn', 'aws:ResourceAccount'];

/**
 * Names that may hold a `/` or a `:`: a secret's and a parameter's, a function's with its version, a state machine's with the label of a map's run.
 * https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html
 */
const DEEP = /ObjectName|SecretId|ParameterName|LogGroupName|LogStreamName|FunctionName|StateMachineName|ExecutionId/;

/** A pattern as its parts: literal characters, and classes of which any number may be there. */
type Part = { readonly literal: string } | { readonly any: RegExp };

function patternOf(resource: string): Part[] {
  return [...resource].map((c) => (c === '*' ? { any: /./s } : { literal: c }));
}

function patternOfType(arn: string): Part[] {
  const given: Record<string, string> = { Partition: 'aws', Region: 'eu-central-1', Account: '111122223333' };
  return arn
    .replaceAll(/\$\{(Partition|Region|Account)\}/g, (_, name: string) => given[name]!)
    .split(/(\$\{\w+\})/)
    .flatMap((part): Part[] =>
      part.startsWith('${') ? [{ any: DEEP.test(part) ? /./s : /[^/:]/ }] : [...part].map((literal) => ({ literal })),
    );
}

/** Whether some text is of both patterns. */
function meet(a: readonly Part[], b: readonly Part[]): boolean {
  const seen = new Set<number>();
  const from = (i: number, j: number): boolean => {
    const at = i * (b.length + 1) + j;
    if (seen.has(at)) {
      return false;
    }
    seen.add(at);
    const [x, y] = [a[i], b[j]];
    if (!x && !y) {
      return true;
    }
    if (x && 'any' in x && from(i + 1, j)) {
      return true;
    }
    if (y && 'any' in y && from(i, j + 1)) {
      return true;
    }
    if (!x || !y) {
      return false;
    }
    if ('literal' in x && 'literal' in y) {
      return x.literal === y.literal && from(i + 1, j + 1);
    }
    if ('literal' in x) {
      return 'any' in y && y.any.test(x.literal) && from(i + 1, j);
    }
    if ('literal' in y) {
      return x.any.test(y.literal) && from(i, j + 1);
    }
    // Two wildcards: whatever they have in common was tried by leaving either out.
    return false;
  };
  return from(0, 0);
}

/** What is wrong with a statement. */
function faults({ policy, effect, actions, resources, conditions }: Permission): string[] {
  return actions.flatMap((pattern) => {
    const [prefix = '', name = ''] = pattern.split(':');
    const service = reference[prefix];
    const found = Object.entries(service?.actions ?? {}).filter(([action]) =>
      // Action names have no case. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_action.html
      new RegExp(`^${name.replaceAll('*', '.*')}$`, 'i').test(action),
    );
    if (!service || found.length === 0) {
      return [`${policy}: AWS has no action ${pattern}`];
    }
    const types = (of: (action: Action) => readonly string[] | undefined) => [
      ...new Set(found.flatMap(([, action]) => of(action) ?? [])),
    ];
    const isOf = (resource: string, type: string) =>
      meet(patternOf(resource), patternOfType(service.resources[type]!.arn));
    const known = types(({ resources }) => resources);
    const strays = resources.filter((resource) => resource !== '*' && !known.some((type) => isOf(resource, type)));
    // Glue judges a table together with its database and catalog. Elsewhere several types are alternatives.
    // https://docs.aws.amazon.com/glue/latest/dg/glue-specifying-resource-arns.html
    const needed = prefix === 'glue' && effect === 'Allow' ? types(({ required }) => required) : [];
    const missing = needed.filter((type) => !resources.some((resource) => resource === '*' || isOf(resource, type)));
    const keys = new Set([
      ...GLOBAL_KEYS,
      ...types(({ conditions }) => conditions),
      ...known.flatMap((type) => service.resources[type]!.conditions),
    ]);
    return [
      ...strays.map((resource) => `${policy}: ${pattern} has no resource of the type of ${resource}`),
      ...missing.map((type) => `${policy}: ${pattern} needs a ${type} among ${resources.join(', ')}`),
      ...Object.values(conditions)
        .flatMap((of) => Object.keys(of))
        .filter((key) => !keys.has(key))
        .map((key) => `${policy}: ${pattern} knows no condition ${key}`),
    ];
  });
}

const HASHED = `columns = [${['secretsmanager:lake/a', 'ssm:/lake/a', 'ssm:b'].map((secret, i) => `{ name = "c${i}", hash = { secret = "${secret}" } }`).join()}]\n`;

test.each<[string, string, Context]>([
  ['rekey and split, buckets of the stack', `${TWO_JOBS}\n${TWO_SPLITS}`, {}],
  ['rekey and split, existing buckets', `${TWO_JOBS}\n${TWO_SPLITS}`, { 'create-buckets': '' }],
  ['compact', TWO_COMPACTIONS, {}],
  ['repartition', TWO_REPARTITIONS, {}],
  ['hashed columns', TWO_REPARTITIONS.replace(/^(?=format = "csv")/m, HASHED), {}],
])('each statement has an action, resources and conditions that AWS has: %s', (_, toml, context) => {
  const all = permissions(template(toml, context));
  expect(all.length).toBeGreaterThan(10);
  expect(all.flatMap(faults)).toEqual([]);
});

const statement = (given: Partial<Permission>): Permission => ({
  policy: 'P',
  roles: ['R'],
  effect: 'Allow',
  actions: [],
  resources: ['*'],
  conditions: {},
  ...given,
});

test.each<[string, Partial<Permission>, RegExp | undefined]>([
  [
    "a task's token, on its state machine",
    { actions: ['states:SendTaskSuccess'], resources: ['arn:aws:states:eu-central-1:111122223333:stateMachine:m'] },
    /SendTaskSuccess has no resource of the type of .*stateMachine:m/,
  ],
  ["a task's token, on everything", { actions: ['states:SendTaskSuccess'] }, undefined],
  ['an action that does not exist', { actions: ['sqs:SendMessageBatch'] }, /AWS has no action sqs:SendMessageBatch/],
  ['a service that does not exist', { actions: ['s4:GetObject'] }, /no action s4:GetObject/],
  ['an object, where the action has buckets', { actions: ['s3:ListBucket'], resources: ['arn:aws:s3:::b/p*'] }, /ListBucket has no resource/],
  ['a bucket, where the action has objects', { actions: ['s3:GetObject'], resources: ['arn:aws:s3:::b'] }, /GetObject has no resource/],
  ['objects by prefix', { actions: ['s3:GetObject'], resources: ['arn:aws:s3:::b/p/*_SUCCESS'] }, undefined],
  ['all buckets and objects', { actions: ['s3:GetObject', 's3:ListBucket'], resources: ['arn:aws:s3:::*'] }, undefined],
  [
    'a table without its catalog',
    { actions: ['glue:GetTable'], resources: ['database/d', 'table/d/t'].map((r) => `arn:aws:glue:eu-central-1:111122223333:${r}`) },
    /GetTable needs a rootcatalog/,
  ],
  ['a key by alias', { actions: ['kms:Decrypt'], resources: ['arn:aws:kms:eu-central-1:111122223333:alias/a'] }, /Decrypt has no resource/],
  ['a prefix of a read', { actions: ['s3:GetObject'], conditions: { StringLike: { 's3:prefix': 'p' } } }, /knows no condition s3:prefix/],
  ['the aliases of a key', { actions: ['kms:Decrypt'], conditions: { StringEquals: { 'kms:ResourceAliases': 'alias/a' } } }, undefined],
])('what the reference does not have is found: %s', (_, given, says) => {
  const found = faults(statement(given));
  expect(found).toEqual(says ? expect.arrayContaining([expect.stringMatching(says)]) : []);
});
