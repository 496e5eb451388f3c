# fish completion of midstream: its options, then the command's own completion.
complete -c midstream -x -a '(__fish_complete_subcommand --fcs-skip=1)'
complete -c midstream -n __fish_is_first_token -l config -r -F -d 'The configuration'
complete -c midstream -n __fish_is_first_token -l log -x -a 'off error warn info debug trace' -d 'What is logged'
complete -c midstream -n __fish_is_first_token -l reach -x -a 'auto all off' -d 'Have connections carried by a supervisor'
complete -c midstream -n __fish_is_first_token -l strict -d 'Refuse to start what cannot be reached'
complete -c midstream -n __fish_is_first_token -l aggregate -d 'Let all networks feed each download'
complete -c midstream -n __fish_is_first_token -l version -d 'Print the versions'
complete -c midstream -n __fish_is_first_token -l help -d 'Print help'
