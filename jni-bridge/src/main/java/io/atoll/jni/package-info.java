/** What libatoll_jni.so calls in the compile child, and the sample run that its class-data archive is made with. */
package io.atoll.jni;
