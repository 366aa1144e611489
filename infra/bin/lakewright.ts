/** The CDK app: one stack from one lakewright.toml. */
import { resolve } from 'node:path';
import { App, DefaultStackSynthesizer } from 'aws-cdk-lib';
import { checkConfig } from '../lib/check.ts';
import { ConfigError } from '../lib/config.ts';
import { LakewrightStack } from '../lib/lakewright-stack.ts';
import { flag, namePrefix, text } from '../lib/options.ts';
import { codeByParameters, declareCodeParameters } from '../lib/plain.ts';

const app = new App();
const assetsBucket = text(app.node, 'assets-bucket');
try {
  const configFile = resolve(text(app.node, 'config') ?? '../lakewright.toml');
  checkConfig(configFile);
  const isPlain = flag(app.node, 'plain');
  const stack = new LakewrightStack(app, text(app.node, 'stack') ?? `${namePrefix(app.node)}Lakewright`, {
    config: configFile,
    description: 'Lakewright: shapes what lands in an S3 data lake',
    // CloudFormation takes a template of up to 1 MB.
    suppressTemplateIndentation: true,
    ...(assetsBucket !== undefined && {
      synthesizer: new DefaultStackSynthesizer({
        fileAssetsBucketName: assetsBucket,
        generateBootstrapVersionRule: false,
      }),
    }),
    ...(isPlain && { synthesizer: codeByParameters() }),
  });
  if (isPlain) {
    declareCodeParameters(stack);
  }
  app.synth();
} catch (error) {
  if (!(error instanceof ConfigError)) {
    throw error;
  }
  console.error(error.message);
  process.exitCode = 1;
}
