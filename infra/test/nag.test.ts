import { App, Stack, Validations } from 'aws-cdk-lib';
import { Bucket } from 'aws-cdk-lib/aws-s3';
import { AwsSolutionsChecks } from 'cdk-nag';
import { expect, test } from 'vitest';
import { build } from './support.ts';

function check(app: App): void {
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  app.synth();
}

test.each([
  ['buckets of the stack', {}],
  ['buckets that stand already', { 'existing-buckets': 'acme-landing,acme-lake' }],
])('cdk-nag finds nothing that is not acknowledged: %s', (_, context) => {
  const { app } = build(undefined, context);
  expect(() => check(app)).not.toThrow();
});

test('cdk-nag is at work', () => {
  const app = new App();
  new Bucket(new Stack(app, 'Plain'), 'Bucket');
  expect(() => check(app)).toThrow(/AwsSolutions-S10/);
});
