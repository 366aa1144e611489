import { CfnOutput, Duration, Size, Stack, type StackProps } from 'aws-cdk-lib';
import { Asset } from 'aws-cdk-lib/aws-s3-assets';
import { Topic } from 'aws-cdk-lib/aws-sns';
import type { Construct } from 'constructs';
import { grantQueries } from './access.ts';
import { ConfigError, loadConfig, type RekeyConfig, type SplitConfig } from './config.ts';
import { DataBuckets } from './data-buckets.ts';
import { LakewrightFunction, type LakewrightFunctionProps } from './lakewright-function.ts';
import { Monitoring } from './monitoring.ts';
import { readOptions } from './options.ts';
import { RekeyJob } from './rekey-job.ts';
import { SplitJob } from './split-job.ts';

export interface LakewrightStackProps extends StackProps {
  /** The path of the lakewright.toml that the functions will read. */
  readonly configFile: string;
}

/** What every function is given. */
type Common = Pick<LakewrightFunctionProps, 'config' | 'options'>;

/** Everything that one lakewright.toml needs. */
export class LakewrightStack extends Stack {
  constructor(scope: Construct, id: string, props: LakewrightStackProps) {
    super(scope, id, props);
    const jobs = loadConfig(props.configFile);
    if (jobs.rekey.length + jobs.split.length === 0) {
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

    const common = { config, options };
    if (jobs.rekey.length > 0) {
      this.rekey(jobs.rekey, common, buckets, monitoring);
    }
    if (jobs.split.length > 0) {
      this.split(jobs.split, common, buckets, monitoring);
    }
  }

  private rekey(jobs: readonly RekeyConfig[], common: Common, buckets: DataBuckets, monitoring: Monitoring): void {
    const { options } = common;
    const rekey = new LakewrightFunction(this, 'Rekey', {
      ...common,
      functionName: 'rekey',
      description: 'Rewrites landed objects into partitions by event time',
    });
    monitoring.watch('rekey', rekey.function);
    const queueUrls = jobs.map((job): [string, string] => {
      const { queue } = new RekeyJob(this, `Rekey-${job.name}`, { job, rekey, buckets, monitoring, options });
      return [job.name, queue.queueUrl];
    });
    rekey.function.addEnvironment('LAKEWRIGHT_QUEUES', this.toJsonString(Object.fromEntries(queueUrls)));
    new CfnOutput(this, 'RekeyFunctionName', { value: rekey.function.functionName });
  }

  private split(jobs: readonly SplitConfig[], common: Common, buckets: DataBuckets, monitoring: Monitoring): void {
    const { options } = common;
    const ephemeralStorage = Size.mebibytes(512);
    // The longest that there is: a result is scanned in one go.
    const planTimeout = Duration.minutes(15);
    const plan = new LakewrightFunction(this, 'SplitPlan', {
      ...common,
      functionName: 'split-plan',
      description: "Cuts a query's result into chunks",
      size: { memory: options.splitPlanMemory, timeout: planTimeout, ephemeralStorage },
    });
    const rows = new LakewrightFunction(this, 'SplitRows', {
      ...common,
      functionName: 'split-rows',
      description: 'Writes each row of a chunk as an object',
      size: { memory: options.splitRowsMemory, timeout: options.splitRowsTimeout, ephemeralStorage },
    });
    grantQueries(plan.role, options.workgroups);
    monitoring.watch('split-plan', plan.function);
    monitoring.watch('split-rows', rows.function);
    const splits = jobs.map(
      (job) => new SplitJob(this, `Split-${job.name}`, { job, plan, planTimeout, rows, buckets, monitoring, options }),
    );
    const queueUrls = splits.map(({ queue }, index): [string, string] => [jobs[index]!.name, queue.queueUrl]);
    plan.function.addEnvironment('LAKEWRIGHT_QUEUES', this.toJsonString(Object.fromEntries(queueUrls)));
    const deadLetters = splits.map(({ deadLetterQueue }) => deadLetterQueue.queueArn);
    rows.function.addEnvironment('LAKEWRIGHT_DEAD_LETTERS', this.toJsonString(deadLetters));
    new CfnOutput(this, 'SplitPlanFunctionName', { value: plan.function.functionName });
    new CfnOutput(this, 'SplitRowsFunctionName', { value: rows.function.functionName });
  }
}
