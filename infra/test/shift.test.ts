import { expect, test } from 'vitest';
import { definitionsOf, flat, resources, template, TWO_COMPACTIONS, TWO_JOBS, TWO_REPARTITIONS, TWO_SPLITS } from './support.ts';

const ALL = [TWO_JOBS, TWO_SPLITS, TWO_REPARTITIONS].join('\n');
const shifted = template(ALL, { 'traffic-shift': 'Canary10Percent5Minutes' });

test('every function has a version and an alias, which an alarm of its own takes back', () => {
  const functions = resources(shifted, 'AWS::Lambda::Function')
    .filter(([, { Properties }]) => Properties['Runtime'] === 'provided.al2023')
    .map(([id]) => id);
  const aliases = shifted.findResources('AWS::Lambda::Alias') as Record<string, any>;
  expect(Object.values(aliases).map(({ Properties }) => flat(Properties.FunctionName)).sort()).toEqual(functions.map((id) => `<${id}>`).sort());
  const alarms = Object.fromEntries(resources(shifted, 'AWS::CloudWatch::Alarm'));
  const groups = Object.fromEntries(resources(shifted, 'AWS::CodeDeploy::DeploymentGroup'));
  for (const { Properties, UpdatePolicy } of Object.values(aliases)) {
    const [versionId] = Properties.FunctionVersion['Fn::GetAtt'];
    const version = resources(shifted, 'AWS::Lambda::Version').find(([id]) => id === versionId)!;
    expect(flat(version[1].Properties['FunctionName'])).toBe(flat(Properties.FunctionName));
    expect(version[1].DeletionPolicy).toBe('Retain');
    const group = groups[UpdatePolicy.CodeDeployLambdaAliasUpdate.DeploymentGroupName.Ref]!.Properties;
    expect(group['DeploymentConfigName']).toBe('CodeDeployDefault.LambdaCanary10Percent5Minutes');
    expect(group['AutoRollbackConfiguration']).toMatchObject({ Enabled: true, Events: expect.arrayContaining(['DEPLOYMENT_STOP_ON_ALARM']) });
    const [{ Name }] = group['AlarmConfiguration'].Alarms;
    const alarm = alarms[Name.Ref]!.Properties;
    expect([alarm['MetricName'], alarm['Period'], alarm['Threshold']]).toEqual(['Errors', 60, 1]);
    const dimensions = Object.fromEntries(alarm['Dimensions'].map(({ Name, Value }: any) => [Name, flat(Value)]));
    expect(dimensions).toEqual({ FunctionName: flat(Properties.FunctionName), Resource: `${flat(Properties.FunctionName)}:live` });
  }
});

test('whatever invokes a function invokes its alias', () => {
  const aliases = new Set(Object.keys(shifted.findResources('AWS::Lambda::Alias')).map((id) => `<${id}>`));
  const mapped = resources(shifted, 'AWS::Lambda::EventSourceMapping').map(([, { Properties }]) => Properties['FunctionName']);
  // An event source mapping has the function's name, and the alias's after it.
  expect(mapped.map((name) => name['Fn::Join'] !== undefined || aliases.has(flat(name)))).not.toContain(false);
  const invoked: string[] = [];
  JSON.stringify(definitionsOf(shifted), (key, value) => {
    if (key === 'FunctionName') {
      invoked.push(value);
    }
    return value;
  });
  expect(invoked.length).toBeGreaterThan(5);
  expect(invoked.filter((arn) => !aliases.has(arn))).toEqual([]);
});

test('what changes a function makes another version', () => {
  const versions = (of: string) =>
    resources(template(of, { 'traffic-shift': 'AllAtOnce' }), 'AWS::Lambda::Version')
      .map(([id]) => id)
      .sort();
  expect(versions(TWO_COMPACTIONS)).toEqual(versions(TWO_COMPACTIONS));
  // The configuration is an asset of another name.
  const changed = versions(`${TWO_COMPACTIONS}\n# changed`);
  expect(versions(TWO_COMPACTIONS).filter((id) => changed.includes(id))).toEqual([]);
});

test('there are no versions unless they are asked for', () => {
  const plain = template(ALL);
  for (const type of ['AWS::Lambda::Version', 'AWS::Lambda::Alias', 'AWS::CodeDeploy::DeploymentGroup']) {
    expect(plain.findResources(type)).toEqual({});
  }
});
