/** What the roles of a template may do, and what its resource policies say, with ARNs as AWS would see them. */
import type { Template } from 'aws-cdk-lib/assertions';
import { list, type Resource } from './support.ts';

export interface Permission {
  /** The logical id of the policy that says so. */
  readonly policy: string;
  /** The roles that have it by an identity policy; none for a resource's own policy. */
  readonly roles: readonly string[];
  readonly effect: 'Allow' | 'Deny';
  readonly actions: readonly string[];
  readonly resources: readonly string[];
  readonly conditions: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

const PSEUDO: Record<string, string> = {
  'AWS::Partition': 'aws',
  'AWS::Region': 'eu-central-1',
  'AWS::AccountId': '111122223333',
  'AWS::StackName': 'Lakewright',
};

/** The statements of all policies of a template. */
export function permissions(template: Template): Permission[] {
  const all = template.toJSON()['Resources'] as Record<string, Resource>;
  const text = (value: unknown) => resolve(value, all);
  return Object.entries(all).flatMap(([policy, { Type, Properties }]) => {
    const roles: string[] = (Properties?.['Roles'] ?? []).map(({ Ref }: { Ref: string }) => Ref);
    const documents: any[] = [
      ...(Properties?.['PolicyDocument'] ? [Properties['PolicyDocument']] : []),
      ...(Type === 'AWS::IAM::Role' ? (Properties['Policies'] ?? []).map((own: any) => own.PolicyDocument) : []),
    ];
    return documents.flatMap(({ Statement }) =>
      Statement.map(
        ({ Effect, Action, Resource, Condition = {} }: any): Permission => ({
          policy,
          roles: Type === 'AWS::IAM::Role' ? [policy] : roles,
          effect: Effect,
          actions: list<string>(Action),
          resources: list(Resource).map(text),
          conditions: JSON.parse(JSON.stringify(Condition), (_, value) =>
            value !== null && typeof value === 'object' && ('Ref' in value || 'Fn::GetAtt' in value || 'Fn::Join' in value)
              ? text(value)
              : value,
          ),
        }),
      ),
    );
  });
}

/** A value with its intrinsic functions evaluated; what CloudFormation would name is named by its logical id. */
export function resolve(value: any, all: Record<string, Resource>): string {
  if (typeof value !== 'object') {
    return String(value);
  }
  const [[fn, of]] = Object.entries<any>(value) as [[string, any]];
  switch (fn) {
    case 'Ref':
      return PSEUDO[of] ?? attribute(of, 'Ref', all);
    case 'Fn::GetAtt':
      return attribute(of[0], of[1], all);
    case 'Fn::Join':
      return of[1].map((part: unknown) => resolve(part, all)).join(of[0]);
    case 'Fn::Sub':
      return of.replaceAll(/\$\{(.*?)\}/g, (_: string, name: string) => resolve({ Ref: name }, all));
    case 'Fn::Select':
      return resolve(of[1]['Fn::Split'][1], all).split(of[1]['Fn::Split'][0])[of[0]]!;
    default:
      throw new Error(`no value of ${JSON.stringify(value)}`);
  }
}

function attribute(id: string, name: string, all: Record<string, Resource>): string {
  const { Type, Properties = {} } = all[id] ?? {};
  const arn = (service: string, rest: string) => `arn:aws:${service}:eu-central-1:111122223333:${rest}`;
  const named = (key: string) => (typeof Properties[key] === 'string' ? Properties[key] : id);
  switch (`${Type} ${name}`) {
    case 'AWS::Lambda::Function Arn':
      return arn('lambda', `function:${named('FunctionName')}`);
    case 'AWS::SQS::Queue Arn':
      return arn('sqs', named('QueueName'));
    case 'AWS::Logs::LogGroup Arn':
      return arn('logs', `log-group:${named('LogGroupName')}:*`);
    case 'AWS::StepFunctions::StateMachine Ref':
    case 'AWS::StepFunctions::StateMachine Arn':
      return arn('states', `stateMachine:${named('StateMachineName')}`);
    case 'AWS::S3::Bucket Arn':
      return `arn:aws:s3:::${named('BucketName')}`;
    case 'AWS::S3::Bucket Ref':
    case 'AWS::SQS::Queue Ref':
    case 'AWS::IAM::Role Ref':
      return id;
    default:
      throw new Error(`no value of ${name} of ${id} (${Type})`);
  }
}
