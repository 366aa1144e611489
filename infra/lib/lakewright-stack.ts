import { CfnOutput, Stack, type StackProps } from 'aws-cdk-lib';
import { Asset } from 'aws-cdk-lib/aws-s3-assets';
import { Topic } from 'aws-cdk-lib/aws-sns';
import type { Construct } from 'constructs';
import { ConfigError, loadConfig } from './config.ts';
import { DataBuckets } from './data-buckets.ts';
import { LakewrightFunction } from './lakewright-function.ts';
import { Monitoring } from './monitoring.ts';
import { readOptions } from './options.ts';
import { RekeyJob } from './rekey-job.ts';

export interface LakewrightStackProps extends StackProps {
  /** The path of the lakewright.toml that the functions will read. */
  readonly configFile: string;
}

/** Everything that one lakewright.toml needs. */
export class LakewrightStack extends Stack {
  constructor(scope: Construct, id: string, props: LakewrightStackProps) {
    super(scope, id, props);
    const { rekey: jobs } = loadConfig(props.configFile);
    if (jobs.length === 0) {
      throw new ConfigError(`${props.configFile}: no job is named, so there is nothing to deploy`);
    }
    // CDK makes every function depend on its role, which follows from its `Role` property already.
    this.templateOptions.metadata = { 'cfn-lint': { config: { ignore_checks: ['W3005'] } } };

    const options = readOptions(this.node);
    const config = new Asset(this, 'Config', { path: props.configFile });
    const buckets = new DataBuckets(this, 'Buckets', { existing: options.existingBuckets });
    const monitoring = new Monitoring(this, 'Monitoring', {
      topic: options.alarmTopic === undefined ? undefined : Topic.fromTopicArn(this, 'AlarmTopic', options.alarmTopic),
    });

    const rekey = new LakewrightFunction(this, 'Rekey', {
      functionName: 'rekey',
      description: 'Rewrites landed objects into partitions by event time',
      config,
      options,
    });
    monitoring.watch('rekey', rekey.function);
    const queueUrls = jobs.map((job): [string, string] => {
      const { queue } = new RekeyJob(this, `Rekey-${job.name}`, { job, rekey, buckets, monitoring, options });
      return [job.name, queue.queueUrl];
    });
    rekey.function.addEnvironment('LAKEWRIGHT_QUEUES', this.toJsonString(Object.fromEntries(queueUrls)));
    new CfnOutput(this, 'RekeyFunctionName', { value: rekey.function.functionName });
  }
}
