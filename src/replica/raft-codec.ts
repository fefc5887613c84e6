/** The one codec of core messages lives with the links; the replica knows it under these names. */
export {
  fromWire as messageFromWire,
  toWire as messageToWire,
} from "../transport/raft-codec.js";
