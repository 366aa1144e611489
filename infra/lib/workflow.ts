/** What the state machines have in common. */
import { Duration, Names, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import type * as iam from 'aws-cdk-lib/aws-iam';
import type { CfnFunction } from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import type { LakewrightFunction } from './lakewright-function.ts';

/** Retries of faults of the Lambda service. https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html */
export const LAMBDA_FAULTS: sfn.RetryProps = {
  errors: [
    'Lambda.ClientExecutionTimeoutException',
    'Lambda.ServiceException',
    'Lambda.AWSLambdaException',
    'Lambda.SdkClientException',
    'Lambda.TooManyRequestsException',
  ],
  interval: Duration.seconds(2),
  backoffRate: 2,
  maxDelay: Duration.minutes(5),
  maxAttempts: 10,
  jitterStrategy: sfn.JitterType.FULL,
};

export interface WorkflowProps {
  readonly comment: string;
  readonly definition: sfn.IChainable;
  /** The function that it calls. */
  readonly invokes: LakewrightFunction;
  /** A role of its own where nothing is said. */
  readonly role?: iam.Role;
}

/** A state machine in JSONata that logs and may run for a week: a redrive of what failed goes on where it failed. */
export function workflow(scope: Construct, { comment, definition, invokes, role }: WorkflowProps): sfn.StateMachine {
  const logGroup = new logs.LogGroup(scope, 'Logs', {
    // Under this prefix, the log groups share one statement of the account's small resource policy.
    // https://docs.aws.amazon.com/step-functions/latest/dg/bp-cwl.html
    logGroupName: `/aws/vendedlogs/states/${Names.uniqueResourceName(scope, { separator: '-' })}`,
    retention: logs.RetentionDays.ONE_MONTH,
    removalPolicy: RemovalPolicy.DESTROY,
  });
  const stateMachine = new sfn.StateMachine(scope, 'StateMachine', {
    comment,
    definitionBody: sfn.DefinitionBody.fromChainable(definition),
    queryLanguage: sfn.QueryLanguage.JSONATA,
    role,
    timeout: Duration.days(7),
    tracingEnabled: true,
    logs: { destination: logGroup, level: sfn.LogLevel.ALL, includeExecutionData: true },
  });
  const functionId = Stack.of(scope).getLogicalId(invokes.function.node.defaultChild as CfnFunction);
  Validations.of(stateMachine.role).acknowledge(
    {
      id: 'AwsSolutions-IAM5[Resource::*]',
      reason: 'X-Ray segments and the delivery of logs have no resource to name.',
    },
    {
      id: `AwsSolutions-IAM5[Resource::<${functionId}.Arn>:*]`,
      reason: 'CDK lets an invoker of a function invoke its versions too.',
    },
  );
  return stateMachine;
}
