import { fileURLToPath } from 'node:url';
import { CfnOutput, Duration, RemovalPolicy, type Size, Stack, Validations } from 'aws-cdk-lib';
import * as codedeploy from 'aws-cdk-lib/aws-codedeploy';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import type { Asset } from 'aws-cdk-lib/aws-s3-assets';
import { RustFunction } from 'cargo-lambda-cdk';
import { Construct } from 'constructs';
import { grantAsset, grantInterfaces } from './access.ts';
import allocator from './allocator.json' with { type: 'json' };
import { metricNamespace, type Monitoring } from './monitoring.ts';
import type { Options } from './options.ts';
import { prebuiltZip, requireCargoLambda, requireSource } from './prerequisites.ts';
import { limitEnvironment } from './quotas.ts';

export interface LakewrightFunctionProps {
  /** Its binary target. */
  readonly binary: string;
  /** Said where it works for the jobs that may read every bucket of the account, which have functions of their own. */
  readonly reach?: 'anywhere';
  readonly description: string;
  readonly config: Asset;
  readonly monitoring: Monitoring;
  readonly options: Options;
  /** Overrides of the options. */
  readonly size?: { readonly memory: number; readonly timeout: Duration; readonly ephemeralStorage: Size };
}

/** One of the Rust functions, with its own log group and a role that may do nothing but log and read the configuration. */
export class LakewrightFunction extends Construct {
  readonly function: lambda.Function;
  /** What is invoked: the function, or its alias. */
  readonly invoked: lambda.IFunction;
  readonly role: iam.Role;
  /** What it is deployed as. */
  readonly name: string;

  constructor(scope: Construct, id: string, props: LakewrightFunctionProps) {
    super(scope, id);
    const { binary, reach, config, monitoring, options, size = options } = props;
    const functionName = `${options.namePrefix}${reach === undefined ? binary : `${binary}-${reach}`}`;
    this.name = functionName;

    const logGroup = new logs.LogGroup(this, 'Logs', {
      logGroupName: `/aws/lambda/${functionName}`,
      retention: logs.RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    this.role = new iam.Role(this, 'Role', {
      // Lambda takes it for this account's functions only.
      assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com', {
        conditions: { StringEquals: { 'aws:SourceAccount': Stack.of(this).account } },
      }),
      description: `What ${functionName} may do`,
    });
    logGroup.grantWrite(this.role);
    grantAsset(this.role, config);
    new CfnOutput(Stack.of(this), `${id}RoleArn`, { value: this.role.roleArn });

    const manifestPath = fileURLToPath(new URL('../../Cargo.toml', import.meta.url));
    if (options.prebuilt === undefined && Stack.of(this).bundlingRequired) {
      requireSource(manifestPath);
      requireCargoLambda();
    }
    const common: lambda.FunctionOptions = {
      functionName,
      description: props.description,
      architecture: options.architecture,
      memorySize: size.memory,
      ephemeralStorageSize: size.ephemeralStorage,
      timeout: size.timeout,
      role: this.role,
      logGroup,
      loggingFormat: lambda.LoggingFormat.JSON,
      environment: {
        // A function keeps the memory that it was given: to give it back between batches and be given it again takes 5% of rekey's
        // CPU. https://man7.org/linux/man-pages/man3/mallopt.3.html
        ...allocator,
        LAKEWRIGHT_CONFIG: config.s3ObjectUrl,
        LAKEWRIGHT_NAMESPACE: metricNamespace(options.namePrefix),
        ...(options.showValues && { LAKEWRIGHT_SHOW_VALUES: 'true' }),
      },
    };
    this.function =
      options.prebuilt === undefined
        ? new RustFunction(this, 'Function', {
            ...common,
            manifestPath,
            binaryName: binary,
            // cargo-lambda's own optimisations abort on a panic; one message's panic must not take its batch along.
            bundling: { cargoLambdaFlags: ['--locked', '--disable-optimizations'] },
          })
        : new lambda.Function(this, 'Function', {
            ...common,
            runtime: lambda.Runtime.PROVIDED_AL2023,
            handler: 'bootstrap',
            code: lambda.Code.fromAsset(prebuiltZip(options.prebuilt, binary, options.architecture)),
          });
    limitEnvironment(this.function, functionName);
    if (options.vpc !== undefined) {
      (this.function.node.defaultChild as lambda.CfnFunction).vpcConfig = {
        subnetIds: [...options.vpc.subnets],
        securityGroupIds: [...options.vpc.securityGroups],
      };
      grantInterfaces(this.role, functionName);
    }
    this.invoked = options.trafficShift === undefined ? this.function : this.shifted(options.trafficShift, monitoring);
  }

  /**
   * An alias of the current version. CodeDeploy sends it a part of the invocations first, and none if one fails meanwhile.
   * https://docs.aws.amazon.com/lambda/latest/dg/lambda-rolling-deployments.html
   */
  private shifted(shift: string, monitoring: Monitoring): lambda.Alias {
    const version = this.function.currentVersion;
    // To go back to by hand.
    version.applyRemovalPolicy(RemovalPolicy.RETAIN);
    const alias = new lambda.Alias(this, 'Live', { aliasName: 'live', version });
    const errors = alias.metricErrors({ period: Duration.minutes(1) });
    const alarm = monitoring.alarm(`${this.name}-Shift`, 'rolling-back', `${this.name}: an invocation of the alias failed`, errors);
    const group = new codedeploy.LambdaDeploymentGroup(this, 'Shift', {
      alias,
      alarms: [alarm],
      deploymentConfig: codedeploy.LambdaDeploymentConfig.fromLambdaDeploymentConfigName(
        this,
        'How',
        `CodeDeployDefault.Lambda${shift}`,
      ),
    });
    Validations.of(group.role).acknowledge({
      id: 'AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSCodeDeployRoleForLambdaLimited]',
      reason: "CodeDeploy's own policy for its role: it updates aliases, and looks at alarms.",
    });
    return alias;
  }
}
