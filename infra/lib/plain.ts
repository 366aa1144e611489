/**
 * A template that is deployed without the CDK: the functions' zips and the configuration are in a bucket that parameters name.
 * `cargo xtask package --config` makes it.
 */
import { CfnParameter, DefaultStackSynthesizer, type Stack } from 'aws-cdk-lib';

const BUCKET = 'CodeBucket';
const PREFIX = 'CodePrefix';

/** Refers to the parameters wherever a file is. CDK makes `Fn::Sub` of the names. */
export function codeByParameters(): DefaultStackSynthesizer {
  return new DefaultStackSynthesizer({
    fileAssetsBucketName: `\${${BUCKET}}`,
    bucketPrefix: `\${${PREFIX}}`,
    generateBootstrapVersionRule: false,
  });
}

export function declareCodeParameters(stack: Stack): void {
  new CfnParameter(stack, BUCKET, {
    description: "The bucket with the functions' zips and the configuration, in the stack's region",
    allowedPattern: '[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]',
  });
  new CfnParameter(stack, PREFIX, {
    description: 'What their keys begin with: empty, or with a slash at its end',
    default: '',
    allowedPattern: '|.*/',
  });
}
