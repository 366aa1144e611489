import { Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { Lakewright, type LakewrightProps } from './lakewright.ts';

export interface LakewrightStackProps extends StackProps, LakewrightProps {}

/** A stack with nothing but {@link Lakewright}. */
export class LakewrightStack extends Stack {
  constructor(scope: Construct, id: string, { config, options, ...props }: LakewrightStackProps) {
    super(scope, id, props);
    // CDK makes every function depend on its role, which follows from its `Role` property already.
    this.templateOptions.metadata = { 'cfn-lint': { config: { ignore_checks: ['W3005'] } } };
    // The name that CDK leaves out of the ids of what is in it.
    new Lakewright(this, 'Default', { config, ...(options && { options }) });
  }
}
