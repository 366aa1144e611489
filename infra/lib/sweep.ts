import { Duration, Names, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import type { CfnFunction } from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import { Schedule, ScheduleExpression, ScheduleTargetInput } from 'aws-cdk-lib/aws-scheduler';
import { StepFunctionsStartExecution } from 'aws-cdk-lib/aws-scheduler-targets';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import { LambdaInvoke } from 'aws-cdk-lib/aws-stepfunctions-tasks';
import { Construct } from 'constructs';
import type { LakewrightFunction } from './lakewright-function.ts';
import type { Monitoring } from './monitoring.ts';
import type { Options } from './options.ts';

export interface SweepProps {
  /** The rekey job's name. */
  readonly job: string;
  readonly rekey: LakewrightFunction;
  readonly monitoring: Monitoring;
  readonly options: Options;
}

/** Faults of the Lambda service. https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html */
const LAMBDA_FAULTS = [
  'Lambda.ClientExecutionTimeoutException',
  'Lambda.ServiceException',
  'Lambda.AWSLambdaException',
  'Lambda.SdkClientException',
  'Lambda.TooManyRequestsException',
];

/**
 * Finds what landed under a job's source and has no commit: once a day, and by hand as a backfill.
 *
 * An execution's input is a `SweepRequest` of shared/jobs/src/sweep.rs, whose `sweep` may be left out; its output
 * is the last `SweepReport`.
 */
export class Sweep extends Construct {
  readonly stateMachine: sfn.StateMachine;

  constructor(scope: Construct, id: string, { job, rekey, monitoring, options }: SweepProps) {
    super(scope, id);

    // On the second call and later, the state's input is the report before.
    const payload = [
      `{"sweep": ${JSON.stringify(job)}}`,
      '$states.context.Execution.Input',
      '$type($states.input.next) = "string" ? {"after": $states.input.next} : {}',
    ];
    const call = LambdaInvoke.jsonata(this, 'Sweep', {
      lambdaFunction: rekey.function,
      payload: sfn.TaskInput.fromText(`{% $merge([${payload.join(', ')}]) %}`),
      outputs: '{% $states.result.Payload %}',
      taskTimeout: sfn.Timeout.duration(options.timeout.plus(Duration.seconds(30))),
      retryOnServiceExceptions: false,
    })
      .addRetry({
        errors: LAMBDA_FAULTS,
        interval: Duration.seconds(2),
        backoffRate: 2,
        maxDelay: Duration.minutes(5),
        maxAttempts: 10,
        jitterStrategy: sfn.JitterType.FULL,
      })
      // The sweep's own failures: what was sent is sent, and the same request may be made again.
      .addRetry({
        errors: [sfn.Errors.TASKS_FAILED, sfn.Errors.TIMEOUT],
        interval: Duration.seconds(30),
        backoffRate: 2,
        maxAttempts: 3,
      });
    const definition = call.next(
      sfn.Choice.jsonata(this, 'More?')
        .when(sfn.Condition.jsonata('{% $type($states.input.next) = "string" %}'), call)
        .otherwise(sfn.Succeed.jsonata(this, 'Done')),
    );

    const logGroup = new logs.LogGroup(this, 'Logs', {
      // Under this prefix, the log groups share one statement of the account's small resource policy.
      // https://docs.aws.amazon.com/step-functions/latest/dg/bp-cwl.html
      logGroupName: `/aws/vendedlogs/states/${Names.uniqueResourceName(this, { separator: '-' })}`,
      retention: logs.RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    this.stateMachine = new sfn.StateMachine(this, 'StateMachine', {
      comment: `Hands what has no commit to the rekey job ${job}`,
      definitionBody: sfn.DefinitionBody.fromChainable(definition),
      queryLanguage: sfn.QueryLanguage.JSONATA,
      // For a long backfill; a redrive of what failed goes on at the page where it failed.
      timeout: Duration.days(7),
      tracingEnabled: true,
      logs: { destination: logGroup, level: sfn.LogLevel.ALL, includeExecutionData: true },
    });
    const functionId = Stack.of(this).getLogicalId(rekey.function.node.defaultChild as CfnFunction);
    Validations.of(this.stateMachine.role).acknowledge(
      {
        id: 'AwsSolutions-IAM5[Resource::*]',
        reason: 'X-Ray segments and the delivery of logs have no resource to name.',
      },
      {
        id: `AwsSolutions-IAM5[Resource::<${functionId}.Arn>:*]`,
        reason: 'CDK lets an invoker of a function invoke its versions too.',
      },
    );

    new Schedule(this, 'Daily', {
      description: `Starts the sweep of the rekey job ${job}`,
      schedule: ScheduleExpression.rate(Duration.days(1)),
      target: new StepFunctionsStartExecution(this.stateMachine, {
        input: ScheduleTargetInput.fromObject({ sweep: job }),
      }),
    });

    monitoring.alarm(`${scope.node.id}-SweepFailed`, `rekey ${job}: a sweep failed`, this.stateMachine.metricFailed());
    monitoring.alarm(`${scope.node.id}-SweepTimedOut`, `rekey ${job}: a sweep did not end in time`, this.stateMachine.metricTimedOut());
  }
}
