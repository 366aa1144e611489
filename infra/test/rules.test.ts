/** What the rules of an account ask of every stack: boundaries, tags, networks, a bootstrap of its own. */
import { Template } from 'aws-cdk-lib/assertions';
import { expect, test } from 'vitest';
import { build, flat, policiesOf, resources, statements, template, TWO_COMPACTIONS, TWO_REPARTITIONS, TWO_SPLITS, type Resource } from './support.ts';

const EVERYTHING = [TWO_COMPACTIONS, TWO_SPLITS, TWO_REPARTITIONS.replaceAll('acme-lake/', 'acme-rewritten/')].join('\n');
const BOUNDARY = 'arn:aws:iam::111122223333:policy/developers';

test('every role is within the boundary, CDK\'s own too', () => {
  for (const [context, expected] of [
    [{ 'permissions-boundary': BOUNDARY, 'create-buckets': '' }, BOUNDARY],
    [{ 'create-buckets': '' }, undefined],
  ] as const) {
    const roles = resources(template(EVERYTHING, context), 'AWS::IAM::Role');
    expect(roles.length).toBeGreaterThan(15);
    expect(new Set(roles.map(([, { Properties }]) => Properties['PermissionsBoundary']))).toEqual(new Set([expected]));
  }
});

/** Whatever a team pays for, looks for or grants. */
const taggable = (of: Template) =>
  ['AWS::Lambda::Function', 'AWS::SQS::Queue', 'AWS::S3::Bucket', 'AWS::IAM::Role', 'AWS::Logs::LogGroup', 'AWS::StepFunctions::StateMachine'].flatMap(
    (type) => resources(of, type),
  );

test('every resource that takes tags has them', () => {
  const tagged = taggable(template(EVERYTHING, { tags: 'team=lake, cost-center=47=11' }));
  expect(tagged.length).toBeGreaterThan(40);
  for (const [id, { Properties }] of tagged) {
    expect(Properties['Tags'], id).toEqual(
      expect.arrayContaining([
        { Key: 'cost-center', Value: '47=11' },
        { Key: 'team', Value: 'lake' },
      ]),
    );
  }
});

test('functions run in a VPC where its subnets are named, and may not use what Lambda needs for it', () => {
  const context = { 'vpc-subnets': 'subnet-0a1b2c3d,subnet-1a2b3c4d', 'vpc-security-groups': 'sg-0a1b2c3d' };
  const of = template(EVERYTHING, context);
  const functions = resources(of, 'AWS::Lambda::Function').filter(([, { Properties }]) => Properties['FunctionName']);
  expect(functions.length).toBeGreaterThan(8);
  for (const [, { Properties }] of functions) {
    expect(Properties['VpcConfig']).toEqual({ SubnetIds: ['subnet-0a1b2c3d', 'subnet-1a2b3c4d'], SecurityGroupIds: ['sg-0a1b2c3d'] });
  }
  const network = statements(policiesOf(of, 'RekeyRole')).filter(({ what }) => what.startsWith('ec2:'));
  const said = (effect: string) => network.filter((statement) => statement.effect === effect).map(({ what }) => what.split(' ')[0]);
  expect(said('Allow')).toHaveLength(6);
  expect(said('Deny')).toEqual(said('Allow'));
  for (const { what } of network.filter(({ effect }) => effect === 'Deny')) {
    expect(what).toMatch(/lambda:SourceFunctionArn.*function:rekey/);
  }
  const outside = resources(template(EVERYTHING), 'AWS::Lambda::Function').map(([, { Properties }]) => Properties['VpcConfig']);
  expect(new Set(outside)).toEqual(new Set([undefined]));
});

test('a bootstrap of its own is where the assets lie', () => {
  const { app, stack } = build(undefined, { '@aws-cdk/core:bootstrapQualifier': 'lake' });
  const of = Template.fromStack(stack);
  const [[, { Properties }]] = resources(of, 'AWS::Lambda::Function') as [[string, Resource]];
  expect(flat(Properties['Environment'].Variables.LAKEWRIGHT_CONFIG)).toMatch(/^s3:\/\/cdk-lake-assets-/);
  const reads = statements(policiesOf(of, 'RekeyRole')).map(({ what }) => what);
  expect(reads.filter((what) => what.includes('cdk-lake-assets-'))).toHaveLength(1);
  expect(app.synth().getStackByName('Lakewright').assumeRoleArn).toMatch(/cdk-lake-deploy-role/);
});
