/** Generated records and messages behind the 64-bit boundary. Nothing else imports `src/gen`. */
import "./u64.js";
import "./oneof.js";
import { holdfast } from "../gen/holdfast.js";

/** All messages and enumerations of `proto/holdfast/v1`, as static protobufjs classes. */
export import v1 = holdfast.v1;

export { fromBigInt, toBigInt, U64_MAX } from "./u64.js";
