# What the scripts of both package families share; `packaging/build` puts it into each.

# Whether there is a systemd to talk to: not in a chroot, not while an image is built.
manager() { [ -d /run/systemd/system ]; }

# The flags that the administrator gave a service, out of its environment file; systemd's form, last one wins.
arguments() {
    for file in "/etc/default/$1" "/etc/sysconfig/$1"; do
        [ -r "$file" ] || continue
        # A line that ends in a backslash goes on.
        sed -e ':a' -e '/\\$/N' -e 's/\\\n//' -e 'ta' "$file" | sed -n 's/^ARGS=//p' | tail -n 1 | sed -e 's/^"\(.*\)"$/\1/' -e "s/^'\\(.*\\)'\$/\\1/"
    done
}

# Runs as the services' user, so that a file it may not read is found too.
as_tocsin() {
    if command -v runuser >/dev/null 2>&1 && id tocsin >/dev/null 2>&1; then
        runuser -u tocsin -- "$@"
    else
        "$@"
    fi
}

# Whether the new binary understands the configuration in force.
understood() {
    mode=${1#tocsin-}
    # shellcheck disable=SC2046 # flags are words
    as_tocsin env TOCSIN_CONFIG_FILE=/etc/tocsin/alertmanager.yml \
        TOCSIN_STORAGE_PATH=/var/lib/tocsin TOCSIN_LB_CONFIG_FILE=/etc/tocsin/lb.yml \
        tocsin "$mode" --config.check $(arguments "$1") >/dev/null
}

# After an upgrade: what ran runs the new program, unless that would end it.
restart_what_ran() {
    manager || return 0
    systemctl daemon-reload || true
    for unit in tocsin-node tocsin-lb; do
        systemctl is-active --quiet "$unit.service" || continue
        if understood "$unit"; then
            systemctl restart "$unit.service" || echo "warning: $unit did not restart: journalctl -u $unit" >&2
        else
            echo "warning: this version does not accept the configuration of $unit (above)." >&2
            echo "warning: the old process goes on; mend the file, then: systemctl restart $unit" >&2
        fi
    done
}

stop_all() {
    manager || return 0
    for unit in tocsin-node tocsin-lb; do
        systemctl stop "$unit.service" || true
    done
}

# The services read their files by their group, and nobody else does.
own_files() {
    for path in /etc/tocsin /etc/tocsin/templates /etc/tocsin/alertmanager.yml /etc/tocsin/lb.yml; do
        if [ -e "$path" ] && ! kept "$path"; then
            chown root:tocsin "$path"
        fi
    done
}

welcome() {
    echo "tocsin: nothing was started. Edit /etc/tocsin/alertmanager.yml (a node) or /etc/tocsin/lb.yml (a balancer),"
    echo "tocsin: or set this host up with: tocsin-setup node|lb --help"
}
