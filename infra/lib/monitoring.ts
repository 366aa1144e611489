import { Annotations, Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import type { Function } from 'aws-cdk-lib/aws-lambda';
import type { ITopic } from 'aws-cdk-lib/aws-sns';
import { Construct } from 'constructs';
import { operationsPage } from './operations.ts';

/** The namespace of the metrics that the functions log in the embedded metric format. */
export function metricNamespace(namePrefix: string): string {
  const own = namePrefix.replace(/[_-]+$/, '');
  return own === '' ? 'Lakewright' : `Lakewright/${own}`;
}

/** The period of alarms that look at more than a moment. */
export const WATCHED = Duration.hours(1);

/** The sections of docs/OPERATIONS.md that alarms link to. */
export type Section = 'what-to-watch' | 'redriving-and-redelivering' | 'the-ledger' | 'the-sweep' | 'rolling-back' | 'split' | 'compact' | 'repartition';

/** The alarms of a stack, all told to one topic, and its dashboard. */
export class Monitoring extends Construct {
  private readonly dashboard: cloudwatch.Dashboard;
  private readonly topic?: ITopic;
  private readonly namespace: string;
  private readonly page: string;

  constructor(scope: Construct, id: string, props: { topic?: ITopic; namePrefix: string }) {
    super(scope, id);
    this.topic = props.topic;
    if (!this.topic) {
      Annotations.of(this).addWarningV2(
        'lakewright:alarm-topic',
        'the alarms notify nobody: name an SNS topic (-c alarm-topic=arn:aws:sns:REGION:ACCOUNT:NAME)',
      );
    }
    this.namespace = metricNamespace(props.namePrefix);
    this.page = operationsPage(this.node);
    this.dashboard = new cloudwatch.Dashboard(this, 'Dashboard', { defaultInterval: Duration.hours(12) });
  }

  /** Raises an alarm as soon as the metric is `threshold` or more in one period. */
  alarm(id: string, section: Section, description: string, metric: cloudwatch.IMetric, threshold = 1): cloudwatch.Alarm {
    return this.raise(id, {
      alarmDescription: this.described(description, section),
      metric,
      threshold,
      evaluationPeriods: 1,
      comparisonOperator: cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
    });
  }

  /**
   * Raises an alarm when a metric is `threshold` or more, unless one of the queues has messages: what waits in them for long is
   * meant to.
   */
  alarmUnless(id: string, section: Section, description: string, metric: cloudwatch.IMetric, threshold: number, waiting: readonly cloudwatch.IMetric[]): void {
    const names = waiting.map((_, index) => `w${index}`);
    const usingMetrics = { m: metric, ...Object.fromEntries(waiting.map((of, index) => [names[index], of])) };
    const expression = `IF(${names.map((name) => `FILL(${name}, 0)`).join(' + ')} > 0, 0, m)`;
    this.alarm(id, section, description, new cloudwatch.MathExpression({ expression, usingMetrics, label: id, period: WATCHED }), threshold);
  }

  /** Raises an alarm when nothing was counted for so many periods. */
  silence(id: string, section: Section, description: string, metric: cloudwatch.IMetric, periods: number): void {
    this.raise(id, {
      alarmDescription: this.described(description, section),
      metric,
      threshold: 1,
      evaluationPeriods: periods,
      comparisonOperator: cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
      treatMissingData: cloudwatch.TreatMissingData.BREACHING,
    });
  }

  /** Raises an alarm when a metric is lower than it usually is at that hour, for so many of its periods. */
  lull(id: string, section: Section, description: string, metric: cloudwatch.IMetric, periods: number): void {
    const alarm = new cloudwatch.AnomalyDetectionAlarm(this, id, {
      alarmDescription: this.described(description, section),
      metric,
      // Standard deviations. Until there is a history of some days, nothing is unusual.
      stdDevs: 3,
      evaluationPeriods: periods,
      comparisonOperator: cloudwatch.ComparisonOperator.LESS_THAN_LOWER_THRESHOLD,
      treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
    });
    this.tell(alarm);
  }

  private described(description: string, section: Section): string {
    return `${description}. See ${this.page}#${section}`;
  }

  private raise(id: string, props: cloudwatch.AlarmProps): cloudwatch.Alarm {
    const alarm = new cloudwatch.Alarm(this, id, props);
    this.tell(alarm);
    return alarm;
  }

  private tell(alarm: cloudwatch.Alarm): void {
    if (this.topic) {
      const action = new SnsAction(this.topic);
      alarm.addAlarmAction(action);
      alarm.addOkAction(action);
    }
  }

  /** The alarms and graphs that every function has. */
  watch(name: string, fn: Function): void {
    const [errors, throttles] = [fn.metricErrors(), fn.metricThrottles()];
    this.alarm(`${name}-Errors`, 'what-to-watch', `${name}: an invocation failed as a whole`, errors);
    this.alarm(`${name}-Throttles`, 'what-to-watch', `${name}: invocations are throttled`, throttles);
    this.row({
      [`${name}: invocations`]: [fn.metricInvocations(), errors, throttles],
      [`${name}: duration`]: [cloudwatch.Stats.p(50), cloudwatch.Stats.p(99), cloudwatch.Stats.MAXIMUM].map((statistic) =>
        fn.metricDuration({ statistic }),
      ),
    });
  }

  /** A row of graphs of equal width, one for each entry. */
  row(graphs: Record<string, cloudwatch.IMetric[]>): void {
    const entries = Object.entries(graphs);
    this.dashboard.addWidgets(
      ...entries.map(
        ([title, left]) => new cloudwatch.GraphWidget({ title, left, width: Math.floor(24 / entries.length) }),
      ),
    );
  }

  /** A metric that a job logs, summed over five minutes. */
  jobMetric(job: string, metricName: string): cloudwatch.Metric {
    return new cloudwatch.Metric({
      namespace: this.namespace,
      metricName,
      dimensionsMap: { Job: job },
      statistic: cloudwatch.Stats.SUM,
      period: Duration.minutes(5),
    });
  }
}
