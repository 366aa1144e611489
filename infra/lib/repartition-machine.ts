import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import { Construct } from 'constructs';
import type { LakewrightFunction } from './lakewright-function.ts';
import type { Options } from './options.ts';
import { call, forEach, forEachOfList, workflow } from './workflow.ts';

/** The functions of repartition jobs. */
export interface RepartitionFunctions {
  readonly plan: LakewrightFunction;
  readonly write: LakewrightFunction;
  readonly commit: LakewrightFunction;
}

export interface RepartitionMachineProps {
  readonly job: string;
  readonly functions: RepartitionFunctions;
  readonly options: Options;
}

/**
 * Plans, prepares and writes, with all tasks of a kind in parallel, and commits. The execution's input is ignored; its output
 * is the answer of `repartition-commit`. If it fails, its error is the first one.
 */
export class RepartitionMachine extends Construct {
  readonly stateMachine: sfn.StateMachine;

  constructor(scope: Construct, id: string, { job, functions, options }: RepartitionMachineProps) {
    super(scope, id);
    const { repartitionTimeout: timeout, maxConcurrency } = options;
    const commit = call(this, 'Commit', {
      invokes: functions.commit,
      payload: '{"plan": $states.input.plan}',
      timeout,
    });
    /** Each entry of one of the plan's lists, wherever it is. */
    const all = (list: 'prepare' | 'tasks', title: string, next: sfn.IChainable): sfn.Choice => {
      const each = (inner: Construct, suffix: string) =>
        call(inner, `${title}${suffix}`, {
          invokes: functions.write,
          payload: '$states.input',
          // All answers together might be more than a state may hold.
          outputs: '{}',
          timeout,
        });
      const inline = forEach(this, `${title} all`, {
        items: `$states.input.${list}`,
        outputs: '$states.input',
        maxConcurrency,
        each,
      });
      const distributed = forEachOfList(this, `${title} list`, {
        list: `$.${list}_list`,
        maxConcurrency,
        each,
      });
      return sfn.Choice.jsonata(this, `${title}?`)
        .when(sfn.Condition.jsonata(`{% $count($states.input.${list}) > 0 %}`), inline.next(next))
        .when(sfn.Condition.jsonata(`{% $exists($states.input.${list}_list.key) %}`), distributed.next(next))
        .otherwise(next);
    };
    const plan = call(this, 'Plan', { invokes: functions.plan, payload: JSON.stringify({ name: job }), timeout });
    this.stateMachine = workflow(this, {
      comment: `Runs the repartition job ${job}`,
      definition: plan.next(all('prepare', 'Prepare', all('tasks', 'Write', commit))),
      invokes: [functions.plan, functions.write, functions.commit],
      options,
    });
  }
}
