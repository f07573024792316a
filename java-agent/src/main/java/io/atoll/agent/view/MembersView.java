package io.atoll.agent.view;

import java.util.List;

/**
 * What a call about members did.
 *
 * @param action  add, remove, weight or reset
 * @param servers of the upstream, as they are now, in each zone that was meant
 */
public record MembersView(String action, List<ServerView> servers) {}
