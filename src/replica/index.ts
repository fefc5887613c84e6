/** The replicated log and the state on it: propose, read, watch. */
export type * from "./api.js";
