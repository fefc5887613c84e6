export * from "./api.js";
export { GrpcTransport, type GrpcTransportSetup } from "./grpc-transport.js";
export { fromWire, toWire, invalidMessage, messageBytes } from "./raft-codec.js";
export { DISK_REFUSED, type AdmitPeer, type SelfIdentity } from "./handshake.js";
export {
  PROTOCOL_VERSION,
  defaultTransportOptions,
  peerServerOptions,
  type TransportOptions,
} from "./options.js";
