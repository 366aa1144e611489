/** The location of a prefix in S3, like `Location` in shared/core. */
export interface Location {
  readonly bucket: string;
  /** A prefix of keys, verbatim; empty for the whole bucket. */
  readonly key: string;
}

/** Reads `s3://bucket/prefix`. Tables made by Hive or EMR may say s3a or s3n for the same thing. */
export function parseLocation(text: string): Location | undefined {
  const match = /^s3[an]?:\/\/([^/]+)(?:\/(.*))?$/s.exec(text);
  return match?.[1] ? { bucket: match[1], key: match[2] ?? '' } : undefined;
}

export function formatLocation(location: Location): string {
  return `s3://${location.bucket}/${location.key}`;
}

/** Whether `inner` is `outer` or is below it as a prefix. */
export function contains(outer: Location, inner: Location): boolean {
  return outer.bucket === inner.bucket && inner.key.startsWith(outer.key);
}

/** All keys below a prefix. */
export function join(prefix: Location, key: string): Location {
  return { bucket: prefix.bucket, key: prefix.key + key };
}
