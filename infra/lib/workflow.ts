/** What the state machines have in common. */
import { CfnOutput, Duration, Names, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type { CfnFunction } from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import { LambdaInvoke } from 'aws-cdk-lib/aws-stepfunctions-tasks';
import type { Construct } from 'constructs';
import type { LakewrightFunction } from './lakewright-function.ts';
import type { Options } from './options.ts';

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

/**
 * Failures of our functions that a retry may fix. Finished work is kept, and the next attempt resumes. Errors that
 * cannot pass are not listed, and neither is `States.TaskFailed`, which matches every error.
 */
const PASSING_FAILURES: sfn.RetryProps = {
  errors: [
    ...['StoreFailed', 'CatalogFailed', 'QueueFailed', 'SecretFailed', 'Deadline', 'TimeoutTooShort'].map((name) => `Lakewright.${name}`),
    'Sandbox.Timedout',
    sfn.Errors.TIMEOUT,
  ],
  interval: Duration.seconds(10),
  backoffRate: 2,
  maxDelay: Duration.minutes(5),
  maxAttempts: 5,
};

/** JSONata: the sum of two reports, number by number. */
export const PLUS =
  '$plus := function($a, $b) { $merge($map($distinct([$keys($a), $keys($b)]), function($k) { ( ' +
  '$x := $lookup($a, $k); $y := $lookup($b, $k); ' +
  '{$k: $type($x) = "number" and $type($y) = "number" ? $x + $y : $type($x) = "object" and $type($y) = "object" ? $plus($x, $y) : ' +
  '$exists($y) ? $y : $x} ) })) };';

export interface CallProps {
  readonly invokes: LakewrightFunction;
  /** JSONata: the payload. */
  readonly payload: string;
  /** JSONata: its output; by default the answer. */
  readonly outputs?: string;
  readonly timeout: Duration;
}

/** Calls a function that may be called again. */
export function call(scope: Construct, id: string, props: CallProps): sfn.TaskStateBase {
  const { invokes, payload, outputs = '$states.result.Payload', timeout } = props;
  return LambdaInvoke.jsonata(scope, id, {
    lambdaFunction: invokes.invoked,
    payload: sfn.TaskInput.fromText(`{% ${payload} %}`),
    outputs: `{% ${outputs} %}`,
    taskTimeout: sfn.Timeout.duration(timeout.plus(Duration.seconds(30))),
    retryOnServiceExceptions: false,
  })
    .addRetry(LAMBDA_FAULTS)
    .addRetry(PASSING_FAILURES);
}

/** Processes an item. Its states' names end with `suffix`, because names of states must be unique. */
type Each = (scope: Construct, suffix: string) => sfn.IChainable;

export interface ForEachProps {
  /** JSONata: the items. */
  readonly items: string;
  readonly maxConcurrency: number;
  /** JSONata: the state's output. */
  readonly outputs: string;
  readonly each: Each;
}

/** Processes each item of a list in the state's input, as a part of this execution. */
export function forEach(scope: Construct, id: string, { items, maxConcurrency, outputs, each }: ForEachProps): sfn.Map {
  return sfn.Map.jsonata(scope, id, {
    items: sfn.ProvideItems.jsonata(`{% ${items} %}`),
    maxConcurrency,
    outputs: `{% ${outputs} %}`,
  }).itemProcessor(each(scope, ''));
}

export interface ForEachOfListProps {
  /** JSONPath: where the bucket and the key of a JSON array of items are. */
  readonly list: string;
  readonly maxConcurrency: number;
  /** JSONPath: what an item's execution has as its input; the item by default. */
  readonly input?: Readonly<Record<string, unknown>>;
  readonly each: Each;
}

/**
 * Does something with each item of a list in S3, of which there may be any number, in an execution for each; the state's output
 * is its input. The items' outputs are to be empty: all together may come to 256 KiB. This state is in JSONPath, which the local
 * cloud evaluates here too. https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
 */
export function forEachOfList(scope: Construct, id: string, props: ForEachOfListProps): sfn.DistributedMap {
  const { list, maxConcurrency, input, each } = props;
  const at = (field: string) => sfn.JsonPath.stringAt(`${list}.${field}`);
  return sfn.DistributedMap.jsonPath(scope, id, {
    itemReader: new sfn.S3JsonItemReader({ bucketNamePath: at('bucket'), key: at('key') }),
    maxConcurrency,
    itemSelector: input,
    resultPath: sfn.JsonPath.DISCARD,
    mapExecutionType: sfn.StateMachineType.STANDARD,
  }).itemProcessor(each(scope, ' of list'));
}

export interface WorkflowProps {
  readonly comment: string;
  readonly definition: sfn.IChainable;
  /** The functions that it calls. */
  readonly invokes: readonly LakewrightFunction[];
  /** A role of its own by default. */
  readonly role?: iam.Role;
  readonly options: Options;
}

/**
 * A role that Step Functions takes for this account's state machines only.
 * https://docs.aws.amazon.com/step-functions/latest/dg/procedure-create-iam-role.html#prevent-cross-service-confused-deputy
 */
export function statesRole(scope: Construct, props: Partial<iam.RoleProps> = {}): iam.Role {
  const { account } = Stack.of(scope);
  return new iam.Role(scope, 'Role', {
    ...props,
    assumedBy: new iam.ServicePrincipal('states.amazonaws.com', {
      conditions: { StringEquals: { 'aws:SourceAccount': account } },
    }),
  });
}

/**
 * A state machine that logs and may run for a week: a redrive of what failed goes on where it failed. Each of its states says
 * that it is in JSONata; where the machine said so, none could be in JSONPath.
 */
export function workflow(
  scope: Construct,
  { comment, definition, invokes, role = statesRole(scope), options: { logExecutionData } }: WorkflowProps,
): sfn.StateMachine {
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
    role,
    timeout: Duration.days(7),
    tracingEnabled: true,
    logs: { destination: logGroup, level: sfn.LogLevel.ALL, includeExecutionData: logExecutionData },
  });
  const { role: own } = stateMachine;
  const title = scope.node.path.split('/').slice(1).filter((part) => part !== 'Default').join('-');
  new CfnOutput(Stack.of(scope), `${title}RoleArn`, { value: own.roleArn });
  Validations.of(own).acknowledge({
    id: 'AwsSolutions-IAM5[Resource::*]',
    reason: 'X-Ray segments and the delivery of logs have no resource to name.',
  });
  const distributed = stateMachine.node.tryFindChild('DistributedMapPolicy');
  if (distributed) {
    const machineId = Stack.of(scope).getLogicalId(stateMachine.node.defaultChild as sfn.CfnStateMachine);
    const executions =
      'arn:<AWS::Partition>:states:<AWS::Region>:<AWS::AccountId>:execution:' +
      `{"Fn::Select":[6,{"Fn::Split":[":",{"Ref":"${machineId}"}]}]}`;
    for (const which of ['', '/*']) {
      Validations.of(distributed).acknowledge({
        id: `AwsSolutions-IAM5[Resource::${executions}${which}:*]`,
        reason: "The executions of a map's items are the state machine's own, and have no names beforehand.",
      });
    }
  }
  for (const { function: fn } of invokes) {
    const functionId = Stack.of(scope).getLogicalId(fn.node.defaultChild as CfnFunction);
    Validations.of(own).acknowledge({
      id: `AwsSolutions-IAM5[Resource::<${functionId}.Arn>:*]`,
      reason: 'CDK lets an invoker of a function invoke its versions too.',
    });
  }
  return stateMachine;
}
