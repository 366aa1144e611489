/** The template that is deployed without the CDK: what it finds by parameters, and that it finds all so. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { codeByParameters, declareCodeParameters } from '../lib/plain.ts';
import { build } from './support.ts';

test('a plain template finds its code and its configuration by parameters, and asks for no bootstrap', () => {
  const { app, stack } = build(undefined, {}, 'Plain', { synthesizer: codeByParameters() });
  declareCodeParameters(stack);
  const { directory } = app.synth();
  const read = (name: string) => JSON.parse(readFileSync(join(directory, name), 'utf8'));
  const { Parameters, Rules, Resources } = read('Plain.template.json');
  expect(Object.keys(Parameters)).toEqual(['CodeBucket', 'CodePrefix']);
  expect(Rules).toBeUndefined();
  const [fn] = Object.values<any>(Resources).filter(({ Type }) => Type === 'AWS::Lambda::Function');
  const { Code, Environment } = fn.Properties;
  expect([Code.S3Bucket, Code.S3Key['Fn::Sub']]).toEqual([{ 'Fn::Sub': '${CodeBucket}' }, expect.stringMatching(/^\$\{CodePrefix\}[0-9a-f]{64}\.zip$/)]);
  expect(Environment.Variables.LAKEWRIGHT_CONFIG['Fn::Sub']).toMatch(/^s3:\/\/\$\{CodeBucket\}\/\$\{CodePrefix\}[0-9a-f]{64}\.toml$/);
  expect(JSON.stringify(Resources)).not.toMatch(/cdk-hnb659fds|BootstrapVersion/);
  const reads = Object.values<any>(Resources)
    .flatMap(({ Type, Properties }) => (Type === 'AWS::IAM::Policy' ? Properties.PolicyDocument.Statement : []))
    .filter(({ Resource }) => JSON.stringify(Resource).includes('${CodePrefix}'));
  expect(reads.map(({ Action }) => Action)).toEqual(['s3:GetObject']);
  // What is to be put there, beside the template itself.
  const names = Object.values<any>(read('Plain.assets.json').files).flatMap(({ destinations }) => Object.values<any>(destinations).map(({ objectKey }) => objectKey));
  expect(names.map((name) => name.replace(/[0-9a-f]{64}/, 'HASH')).sort()).toEqual(['json', 'toml', 'zip'].map((end) => `\${CodePrefix}HASH.${end}`));
});
