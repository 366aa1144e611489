import { Duration } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import { CallAwsService, LambdaInvoke } from 'aws-cdk-lib/aws-stepfunctions-tasks';
import { Construct } from 'constructs';
import { grantResults, workgroupArn } from './access.ts';
import type { SplitConfig } from './config.ts';
import type { LakewrightFunction } from './lakewright-function.ts';
import { formatLocation } from './location.ts';
import type { Options } from './options.ts';
import { LAMBDA_FAULTS, statesRole, workflow } from './workflow.ts';

export interface SplitMachineProps {
  readonly job: SplitConfig;
  readonly plan: LakewrightFunction;
  /** How long a job in progress may send no heartbeat. */
  readonly heartbeat: Duration;
  readonly options: Options;
}

/** Faults of Athena, as the AWS SDK integration names them. */
const ATHENA_FAULTS: sfn.RetryProps = {
  errors: ['Athena.TooManyRequestsException', 'Athena.InternalServerException', 'Athena.SdkClientException'],
  interval: Duration.seconds(2),
  backoffRate: 2,
  maxDelay: Duration.minutes(1),
  maxAttempts: 10,
  jitterStrategy: sfn.JitterType.FULL,
};

/** Input that is only for the query, and not part of the request to `split-plan`. */
const OF_THE_QUERY = ['query', 'database'];

/**
 * Runs a query, or takes a finished one or its result, and splits it.
 *
 * An execution's input has one of `query` (with `database`, if need be), `query_execution_id` and `result`, and whatever
 * else a `PlanRequest` of shared/jobs/src/split/mod.rs may have; its output is the `Summary`. It fails by the name of the
 * function's error, or of the first chunk's.
 */
export class SplitMachine extends Construct {
  readonly stateMachine: sfn.StateMachine;

  constructor(scope: Construct, id: string, { job, plan, heartbeat, options }: SplitMachineProps) {
    super(scope, id);
    const [workgroup = 'primary'] = options.workgroups;
    const workgroups = options.workgroups.map((name) => workgroupArn(this, name));
    const [results] = job.sources;

    const start = CallAwsService.jsonata(this, 'Start query', {
      service: 'athena',
      action: 'startQueryExecution',
      iamResources: [workgroupArn(this, workgroup)],
      parameters: {
        QueryString: '{% $states.input.query %}',
        // Started again, it is the same query: the token is as long as Athena wants it (32 to 128 characters).
        // https://docs.aws.amazon.com/athena/latest/APIReference/API_StartQueryExecution.html
        ClientRequestToken: "{% $hash($states.context.Execution.Id, 'SHA-256') %}",
        WorkGroup: workgroup,
        QueryExecutionContext: '{% $exists($states.input.database) ? {"Database": $states.input.database} : {} %}',
        ...(results === undefined ? {} : { ResultConfiguration: { OutputLocation: formatLocation(results) } }),
      },
      outputs: '{% {"query_execution_id": $states.result.QueryExecutionId} %}',
    }).addRetry(ATHENA_FAULTS);

    const look = CallAwsService.jsonata(this, 'Look', {
      service: 'athena',
      action: 'getQueryExecution',
      iamResources: workgroups,
      parameters: { QueryExecutionId: '{% $states.input.query_execution_id %}' },
      outputs:
        '{% {"query_execution_id": $states.input.query_execution_id, ' +
        '"state": $states.result.QueryExecution.Status.State} %}',
    }).addRetry(ATHENA_FAULTS);
    const wait = sfn.Wait.jsonata(this, 'Wait', { time: sfn.WaitTime.duration(Duration.seconds(5)) }).next(look);

    // A retry has another token, and resumes the job.
    const request = [
      `$sift($states.context.Execution.Input, function($v, $k) { $not($k in ${JSON.stringify(OF_THE_QUERY)}) })`,
      '$exists($states.input.query_execution_id) ? {"query_execution_id": $states.input.query_execution_id} : {}',
      `{"name": ${JSON.stringify(job.name)}, "task_token": $states.context.Task.Token}`,
    ];
    const split = LambdaInvoke.jsonata(this, 'Split', {
      lambdaFunction: plan.invoked,
      integrationPattern: sfn.IntegrationPattern.WAIT_FOR_TASK_TOKEN,
      payload: sfn.TaskInput.fromText(`{% $merge([${request.join(', ')}]) %}`),
      heartbeatTimeout: sfn.Timeout.duration(heartbeat),
      retryOnServiceExceptions: false,
    })
      .addRetry(LAMBDA_FAULTS)
      // What may pass. A chunk that failed has been tried often enough.
      .addRetry({
        errors: [
          ...['StoreFailed', 'AthenaFailed', 'QueueFailed', 'CallbackFailed', 'Deadline', 'TimeoutTooShort'].map((name) => `Lakewright.${name}`),
          'Sandbox.Timedout',
        ],
        interval: Duration.seconds(30),
        backoffRate: 2,
        maxAttempts: 3,
      })
      .addCatch(
        sfn.Fail.jsonata(this, 'Stalled', {
          error: 'Lakewright.Stalled',
          cause:
            `nothing was heard of a chunk for ${heartbeat.toMinutes({ integral: false })} minutes: ` +
            'does the queue feed split-rows, and does split-rows start?',
        }),
        { errors: [sfn.Errors.HEARTBEAT_TIMEOUT, sfn.Errors.TIMEOUT] },
      );
    // split-plan fails with a name for a query that does not exist or did not succeed.
    look.addCatch(split, { errors: ['Athena.InvalidRequestException'], outputs: '{% $states.input %}' });
    look.next(
      sfn.Choice.jsonata(this, 'Under way?')
        .when(sfn.Condition.jsonata('{% $states.input.state in ["QUEUED", "RUNNING"] %}'), wait)
        .otherwise(split),
    );

    const name = JSON.stringify(job.name);
    const isBad =
      '$count([$states.input.query, $states.input.query_execution_id, $states.input.result]) != 1' +
      ` or ($exists($states.input.name) and $states.input.name != ${name})`;
    const definition = sfn.Choice.jsonata(this, 'What?')
      .when(
        sfn.Condition.jsonata(`{% ${isBad} %}`),
        sfn.Fail.jsonata(this, 'Bad request', {
          error: 'Lakewright.BadRequest',
          cause: `the input must have one of query, query_execution_id and result, and no other name than ${name}`,
        }),
      )
      .when(sfn.Condition.jsonata('{% $exists($states.input.query) %}'), start.next(look))
      .when(sfn.Condition.jsonata('{% $exists($states.input.query_execution_id) %}'), look)
      .otherwise(split);

    // Athena reads tables and writes results with the permissions of the caller that starts the query.
    const role = statesRole(this, {
      description: 'What a state machine of split may do',
      managedPolicies: options.queryPolicies.map((arn, index) =>
        iam.ManagedPolicy.fromManagedPolicyArn(this, `QueryPolicy${index}`, arn),
      ),
    });
    if (results !== undefined) {
      grantResults(role, results);
    }
    this.stateMachine = workflow(this, {
      comment: `Runs the split job ${job.name}`,
      definition,
      invokes: [plan],
      role,
      options,
    });
  }
}
