import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, type StackProps } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import jsonata from 'jsonata';
import { LakewrightStack } from '../lib/lakewright-stack.ts';

/** One job with a table, one without, in the same buckets. */
export const TWO_JOBS = readFileSync(new URL('../examples/lakewright.toml', import.meta.url), 'utf8');

/** Two split jobs, one with everything that matters here and one with nothing. */
export const TWO_SPLITS = readFileSync(new URL('../examples/split.toml', import.meta.url), 'utf8');

/** A table that a rekey job writes, and a prefix. */
export const TWO_COMPACTIONS = readFileSync(new URL('../examples/compact.toml', import.meta.url), 'utf8');

/** A table by columns, and a prefix into a table that the job keeps. */
export const TWO_REPARTITIONS = readFileSync(new URL('../examples/repartition.toml', import.meta.url), 'utf8');

const FUNCTIONS = [
  'rekey',
  ...['plan', 'rows'].map((name) => `split-${name}`),
  ...['plan', 'merge', 'publish'].map((name) => `compact-${name}`),
  ...['plan', 'write', 'commit'].map((name) => `repartition-${name}`),
];

const cdkJson = JSON.parse(readFileSync(new URL('../cdk.json', import.meta.url), 'utf8'));

const scratch = mkdtempSync(join(tmpdir(), 'lakewright-infra-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));

export type Context = Record<string, unknown>;

/** The app as `cdk synth` would build it, with code that is only a name. */
export function build(
  toml = TWO_JOBS,
  context: Context = {},
  name = 'Lakewright',
  props: StackProps = {},
): { app: App; stack: LakewrightStack } {
  const folder = mkdtempSync(join(scratch, 'app-'));
  const configFile = join(folder, 'lakewright.toml');
  writeFileSync(configFile, toml);
  for (const name of FUNCTIONS) {
    mkdirSync(join(folder, name));
    writeFileSync(join(folder, name, 'bootstrap.zip'), '');
  }
  const app = new App({
    context: { ...cdkJson.context, 'aws:cdk:bundling-stacks': [], prebuilt: folder, 'create-buckets': '*', ...context },
    outdir: join(folder, 'cdk.out'),
  });
  return { app, stack: new LakewrightStack(app, name, { ...props, config: configFile }) };
}

export function template(toml?: string, context?: Context): Template {
  return Template.fromStack(build(toml, context).stack);
}

export interface Resource {
  readonly Type: string;
  readonly Properties: Record<string, any>;
  readonly DependsOn?: string[];
  readonly DeletionPolicy?: string;
}

/** The resources of one type, by logical id. There must be some, so that no check passes on nothing. */
export function resources(of: Template, type: string): [string, Resource][] {
  const found = Object.entries(of.findResources(type)) as [string, Resource][];
  if (found.length === 0) {
    throw new Error(`the template has no ${type}`);
  }
  return found;
}

/** A value with its intrinsic functions written out: `arn:<AWS::Partition>:s3:::name`, `<Queue.Arn>`. */
export function flat(value: any): string {
  if (typeof value !== 'object') {
    return String(value);
  }
  if ('Ref' in value) {
    return `<${value.Ref}>`;
  }
  if ('Fn::GetAtt' in value) {
    return `<${value['Fn::GetAtt'].join('.')}>`;
  }
  if ('Fn::Sub' in value) {
    return value['Fn::Sub'].replaceAll(/\$\{(.*?)\}/g, '<$1>');
  }
  if ('Fn::Select' in value) {
    const [index, { 'Fn::Split': of }] = value['Fn::Select'];
    return `<${flat(of[1])} split at ${of[0]}, ${index}>`;
  }
  if ('Fn::Join' in value) {
    return value['Fn::Join'][1].map(flat).join(value['Fn::Join'][0]);
  }
  throw new Error(`no plain form of ${JSON.stringify(value)}`);
}

/** Everything that the statements of a policy allow: action, resource and, where there is one, condition. */
export function allowed(policies: Resource[]): string[] {
  const said = statements(policies);
  const denied = said.find(({ effect }) => effect !== 'Allow');
  if (denied) {
    throw new Error(`${denied.effect} ${denied.what}`);
  }
  return said.map(({ what }) => what).sort();
}

/** What every statement about a bucket has; access.test.ts holds them to it. */
const OWN_BUCKETS = JSON.stringify({ 's3:ResourceAccount': { Ref: 'AWS::AccountId' } });

/**
 * What the statements of a policy say, one by one: action, resource and, where there is one, condition other than that the
 * bucket is the account's own.
 */
export function statements(policies: Resource[]): { effect: string; what: string }[] {
  return policies
    .flatMap(({ Properties }) => Properties['PolicyDocument'].Statement)
    .flatMap(({ Effect, Action, Resource, Condition }: any) =>
      list<string>(Action).flatMap((action) => {
        const { StringEquals, ...others } = Condition ?? {};
        const isOwn = action.startsWith('s3:') && JSON.stringify(StringEquals) === OWN_BUCKETS;
        const conditions = isOwn ? others : (Condition ?? {});
        return list(Resource).map((resource) => ({
          effect: Effect,
          what: [
            action,
            flat(resource).replace(/[0-9a-f]{64}/, '<hash>'),
            ...(Object.keys(conditions).length > 0 ? [JSON.stringify(conditions)] : []),
          ].join(' '),
        }));
      }),
    );
}

/** The policies of a role, by the beginning of its logical id. */
export function policiesOf(of: Template, role: string): Resource[] {
  const [roleId] = the(of, 'AWS::IAM::Role', role);
  return resources(of, 'AWS::IAM::Policy')
    .map(([, policy]) => policy)
    .filter(({ Properties }) => Properties['Roles'].some(({ Ref }: { Ref: string }) => Ref === roleId));
}

/** The only resource of a type whose logical id, without its hash, is this. */
export function the(of: Template, type: string, name: string): [string, Resource] {
  const found = resources(of, type).filter(([id]) => new RegExp(`^${name}[0-9A-F]{8}$`).test(id));
  if (found.length !== 1) {
    throw new Error(`the template has ${found.length} ${type} named ${name}`);
  }
  return found[0]!;
}

/** The definition of the one state machine of a name. */
export function definitionOf(of: Template, name: string): any {
  return JSON.parse(flat(the(of, 'AWS::StepFunctions::StateMachine', name)[1].Properties['DefinitionString']));
}

/** The definitions of all state machines. */
export function definitionsOf(of: Template): any[] {
  return resources(of, 'AWS::StepFunctions::StateMachine').map(([, { Properties }]) => JSON.parse(flat(Properties['DefinitionString'])));
}

/**
 * Evaluates `{% … %}` with the release of JSONata that Step Functions follows, and one of its own functions.
 * https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
 */
export function evaluate(expression: string, states: object): Promise<unknown> {
  let parsed = PARSED.get(expression);
  if (!parsed) {
    parsed = jsonata(/^\{%(.*)%\}$/s.exec(expression)![1]!);
    parsed.registerFunction('hash', (text: string, algorithm: string) =>
      createHash(algorithm.replace('-', '')).update(text).digest('hex'),
    );
    PARSED.set(expression, parsed);
  }
  return parsed.evaluate(null, { states });
}

const PARSED = new Map<string, jsonata.Expression>();

export function list<T>(value: T | T[]): T[] {
  return Array.isArray(value) ? value : [value];
}
