/** Several stacks in one account and region. */
import { Template } from 'aws-cdk-lib/assertions';
import { expect, test } from 'vitest';
import { build, flat, resources, template, TWO_COMPACTIONS, TWO_REPARTITIONS, TWO_SPLITS, type Resource } from './support.ts';

const EVERYTHING = [TWO_COMPACTIONS, TWO_SPLITS, TWO_REPARTITIONS.replaceAll('acme-lake/', 'acme-rewritten/')].join('\n');
/** Everything that a template gives a name to, but buckets, whose names the configuration says. */
const names = (of: Template) =>
  Object.values(of.toJSON()['Resources'] as Record<string, { Type: string; Properties?: Record<string, unknown> }>).flatMap(
    ({ Type, Properties = {} }) =>
      ['FunctionName', 'LogGroupName', 'RoleName', 'QueueName', 'StateMachineName', 'DashboardName', 'AlarmName', 'Name', 'GroupName', 'PolicyName']
        // Policies are parts of their roles.
        .filter((key) => Type !== 'AWS::IAM::Policy' && Type !== 'AWS::Lambda::EventSourceMapping' && typeof Properties[key] === 'string')
        .map((key) => `${Type} ${Properties[key]}`),
  );

test('with a prefix each, they share no name', () => {
  const dev = names(Template.fromStack(build(EVERYTHING, { 'name-prefix': 'dev-' }, 'dev-Lakewright').stack));
  const plain = names(template(EVERYTHING));
  expect(dev).toContain('AWS::Lambda::Function dev-rekey');
  expect(dev).toContain('AWS::Lambda::Function dev-repartition-commit-anywhere');
  expect(dev).toContain('AWS::Logs::LogGroup /aws/lambda/dev-split-plan');
  expect(dev).toHaveLength(plain.length);
  expect(dev.filter((name) => plain.includes(name))).toEqual([]);
});

test('their metrics have namespaces of their own, which the functions are told', () => {
  for (const [prefix, namespace] of [[undefined, 'Lakewright'], ['dev-', 'Lakewright/dev']]) {
    const of = template(EVERYTHING, { 'name-prefix': prefix });
    for (const [, { Properties }] of resources(of, 'AWS::Lambda::Function')) {
      expect(Properties['Environment'].Variables.LAKEWRIGHT_NAMESPACE).toBe(namespace);
    }
    const watched = resources(of, 'AWS::CloudWatch::Alarm').flatMap(([, { Properties }]) => Properties['Namespace'] ?? []);
    expect(new Set(watched.filter((space) => !space.startsWith('AWS/')))).toEqual(new Set([namespace]));
    const [[, { Properties }]] = resources(of, 'AWS::CloudWatch::Dashboard') as [[string, Resource]];
    const { widgets } = JSON.parse(flat(Properties['DashboardBody']));
    const shown = widgets.flatMap((widget: any) => widget.properties.metrics).map(([space]: string[]) => space!);
    expect(new Set(shown.filter((space: string) => !space.startsWith('AWS/')))).toEqual(new Set([namespace]));
  }
});
