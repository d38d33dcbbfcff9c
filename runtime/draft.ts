/** A value that is still being written. */
export type Draft<T> = { -readonly [Field in keyof T]: T[Field] };
