/** gRPC over HTTP/2: what makes a request a call, and how it is told that it failed. */
import {FAULTS, type FaultCode} from '#src/core/faults.ts';
import {FIELD, OTHER} from '#src/http1/field-names.ts';
import type {RequestHead} from '#src/http1/request-head.ts';

/** Not gRPC-Web, which needs no trailers. */
const GRPC_TYPE = /^application\/grpc(?:[+;]|$)/i;

export function isGrpcCall({fields, method}: RequestHead): boolean {
  if (method !== 'POST') return false;
  for (let i = 0; i < fields.count; i++) {
    if (fields.numbers[i] === FIELD['content-type']) return GRPC_TYPE.test(fields.value(i));
  }
  return false;
}

/** "Timeout" of the specification: at most 8 digits and a unit. It wants a positive number, but clients that are late already send 0. */
const TIMEOUT = /^(\d{1,8})([HMSmun])$/;
const UNIT_MS: Readonly<Record<string, number>> = {H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6};

/** Milliseconds that the client waits for the whole call; infinite where it does not say, null where it does not say it in exactly one way. */
export function readCallTimeout({fields}: RequestHead): number | null {
  let timeoutMs = Infinity;
  for (let i = 0; i < fields.count; i++) {
    if (fields.numbers[i] !== OTHER || fields.name(i).toLowerCase() !== 'grpc-timeout') continue;
    const [, digits = '', unit = ''] = TIMEOUT.exec(fields.value(i)) ?? [];
    const unitMs = UNIT_MS[unit];
    if (unitMs === undefined || timeoutMs !== Infinity) return null;
    timeoutMs = Number(digits) * unitMs;
  }
  return timeoutMs;
}

const CODE = {unknown: 2, deadlineExceeded: 4, permissionDenied: 7, resourceExhausted: 8, unimplemented: 12, internal: 13, unavailable: 14, unauthenticated: 16} as const;

const CODE_OF_STATUS: Readonly<Record<number, number>> = {
  400: CODE.internal, 401: CODE.unauthenticated, 403: CODE.permissionDenied, 404: CODE.unimplemented, 405: CODE.unimplemented, 408: CODE.deadlineExceeded,
  413: CODE.resourceExhausted, 421: CODE.unimplemented, 429: CODE.resourceExhausted, 431: CODE.resourceExhausted,
  502: CODE.unavailable, 503: CODE.unavailable, 504: CODE.deadlineExceeded,
};

/** Where the status says too little: no connection is no deadline of the call, and an invalid answer will be as invalid next time. */
const CODE_OF_FAULT: Readonly<Partial<Record<FaultCode, number>>> = {
  connect_timeout: CODE.unavailable, upstream_head_invalid: CODE.internal, upstream_head_too_large: CODE.internal, upstream_framing_invalid: CODE.internal,
  upstream_chunk_invalid: CODE.internal, upstream_surplus: CODE.internal, upstream_upgrade_unasked: CODE.internal, upstream_trailers_invalid: CODE.internal,
  upstream_h2_protocol: CODE.internal, upstream_h2_flood: CODE.internal,
};

/** The fields that end a call which failed here. */
export function grpcStatusLines(fault: FaultCode): string {
  const {status, reason} = FAULTS[fault];
  return `grpc-status: ${CODE_OF_FAULT[fault] ?? CODE_OF_STATUS[status] ?? CODE.unknown}\r\ngrpc-message: ${reason}\r\n`;
}
