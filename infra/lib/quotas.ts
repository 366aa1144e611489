/** What CloudFormation and Lambda would refuse: said at synth. That a stack has too many resources, CDK itself says. */
import { Stack } from 'aws-cdk-lib';
import type { CfnFunction, Function } from 'aws-cdk-lib/aws-lambda';

/** https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html */
const MOST_BYTES = 4_096;

/** What a reference to another resource becomes at most, such as a queue's URL: its name has up to 80 characters. */
const REFERENCE_BYTES = 140;

/** Refuses, when the template is made, an environment that Lambda would refuse. */
export function limitEnvironment(fn: Function, functionName: string): void {
  fn.node.addValidation({
    validate: () => {
      const { environment } = fn.node.defaultChild as CfnFunction;
      const { variables = {} } = Stack.of(fn).resolve(environment) ?? {};
      const taken = Object.entries(variables).reduce((sum, [name, value]) => sum + name.length + bytes(value), 0);
      return taken <= MOST_BYTES
        ? []
        : [
            `function ${functionName}: its environment has about ${taken} bytes of at most ${MOST_BYTES}, because it has an entry ` +
              'for each job: make two configurations of this one, each with a stack of its own (-c name-prefix)',
          ];
    },
  });
}

/** Of a value as it will be, without what a reference says of itself. */
function bytes(value: unknown): number {
  if (typeof value === 'string') {
    return Buffer.byteLength(value);
  }
  if (typeof value !== 'object' || value === null) {
    return String(value).length;
  }
  if ('Fn::Join' in value) {
    const [separator, parts] = value['Fn::Join'] as [string, unknown[]];
    return parts.reduce<number>((sum, part) => sum + bytes(part) + separator.length, 0);
  }
  return REFERENCE_BYTES;
}
