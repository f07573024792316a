/** Tables: the flat form of an upstream that nginx workers look up. Compiled here, executed in C. */
package io.atoll.core.table;
