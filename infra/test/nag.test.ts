import { App, Stack, Validations } from 'aws-cdk-lib';
import { Bucket } from 'aws-cdk-lib/aws-s3';
import { AwsSolutionsChecks } from 'cdk-nag';
import { expect, test } from 'vitest';
import { build, TWO_COMPACTIONS, TWO_JOBS, TWO_REPARTITIONS, TWO_SPLITS, type Context } from './support.ts';

function check(app: App): void {
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  app.synth();
}

test.each<[string, string, Context]>([
  ['buckets of the stack', `${TWO_JOBS}\n${TWO_SPLITS}`, {}],
  ['buckets that exist already', `${TWO_JOBS}\n${TWO_SPLITS}`, { 'create-buckets': '' }],
  ['functions in a VPC', TWO_COMPACTIONS, { 'vpc-subnets': 'subnet-0a1b2c3d', 'vpc-security-groups': 'sg-0a1b2c3d' }],
  ['functions that are shifted', `${TWO_JOBS}\n${TWO_SPLITS}`, { 'traffic-shift': 'Linear10PercentEvery1Minute' }],
  ['rekey alone', TWO_JOBS, {}],
  ['split alone', TWO_SPLITS, {}],
  ['compact', TWO_COMPACTIONS, {}],
  ['repartition', TWO_REPARTITIONS, {}],
])('cdk-nag finds nothing that is not acknowledged: %s', (_, toml, context) => {
  const { app } = build(toml, context);
  expect(() => check(app)).not.toThrow();
});

test('cdk-nag is at work', () => {
  const app = new App();
  new Bucket(new Stack(app, 'Plain'), 'Bucket');
  expect(() => check(app)).toThrow(/AwsSolutions-S10/);
});
